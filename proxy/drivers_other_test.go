//go:build !linux

package proxy_test

func drivers() map[string]driverMaker { return map[string]driverMaker{"portable": newPortable} }
