// Package kubelet asks a live process what the kubelet would, by the kubelet's own prober: through start, serving, lame duck and
// drain. A module of its own, because Kubernetes is large and is no library: each of its staging modules needs a replace line.
// `make heavy` runs it.
package kubelet
