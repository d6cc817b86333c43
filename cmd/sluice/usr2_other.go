//go:build !unix

package main

// onUpgradeSignal does nothing: there is no such signal.
func onUpgradeSignal(func()) (stop func()) { return func() {} }

func ignoreUpgradeSignal() {}
