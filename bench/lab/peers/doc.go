// Package peers launches other proxies under the same lab, each with the settings for a
// graceful stop that its own documentation advises (the comment of each says which page).
//
//	l, err := peers.Find("haproxy", peers.Places{Self: os.Args[0]})
//	v, err := l.Version(ctx) // an error: it is not installed
//
// All of them get the same chance: the time of the lame duck in which they are not ready and
// still accept, by the best means they have, and the same time to finish afterwards.
//
// Limits: unix. nginx and HAProxy are upgraded in place; the others have no such thing.
package peers
