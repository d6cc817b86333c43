//go:build race && linux

package epoll_test

const raceEnabled = true
