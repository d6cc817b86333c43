// Package house holds the rules of the house as tests, so that breaking one fails the
// build: who may import whom (the arrows of ARCHITECTURE.md), that every package says
// what it is, that nothing but a program ends the process, and that every test package
// looks for leaked goroutines.
//
// A rule that must be broken is broken here, with the reason beside it.
package house
