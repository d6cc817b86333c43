// Package h2 is an HTTP/2 connection without I/O: both halves of RFC 9113 with RFC 7541 and RFC 8441. It has no
// socket, clock or goroutine.
package h2
