// Command dex runs dex, a provider of OpenID Connect, for the tests of logins: in memory, on a port that the system picks, with the
// users ann (groups eng, ops) and bob (no groups), whose password is "password". It prints its issuer, and ends with its standard
// input. A module of its own, because dex is large and nothing else needs it.
package main
