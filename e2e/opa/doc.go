// Package opa holds Sluice's decisions against those of Open Policy Agent: policies by chance, each written once as YAML for Sluice
// and once in Rego, from what docs/policy.md says they mean. A module of its own, because OPA is large and nothing else needs it.
// `make heavy` runs it.
package opa
