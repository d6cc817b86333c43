// Package platforms reads what deploy has with the platforms' own types, strictly: a key that Kubernetes does not know, or a
// value of another type, fails. `make heavy` runs it.
package platforms
