package policy

import (
	"net"
	"strconv"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// The limits of a document.
const (
	MaxSize      = 64 << 20   // bytes of all files together
	maxParsed    = 16_000_000 // values, aliases expanded
	maxRoutes    = 250_000
	maxEndpoints = 1024
)

// File is one file of a policy.
type File struct {
	Name string // for messages
	Src  []byte
}

// Parse reads a policy of one file. The error lists every fault with its place.
func Parse(name string, src []byte) (*Document, error) {
	return ParseFiles([]File{{name, src}})
}

// ParseFiles reads a policy of several files: what one of them defines, all may use. A
// name that two of them define is a fault that names both places.
func ParseFiles(files []File) (*Document, error) {
	doc, faults, size := &Document{}, &yaml.Faults{}, 0
	for _, f := range files {
		if size += len(f.Src); size > MaxSize {
			faults.Add(yaml.Fault{File: f.Name, Code: yaml.OutOfRange, Message: "the policy is too large: at most " + yaml.Size(MaxSize).String()})
			break
		}
		faults.AddError(f.Name, doc.read(f))
	}
	// Names that a broken file would have defined are not missing: first things first.
	if faults.Count() == 0 {
		doc.link(faults)
	}
	if err := faults.ErrorOrNil(); err != nil {
		return nil, err
	}
	return doc, nil
}

// read adds the content of one file.
func (d *Document) read(f File) error {
	parsed, err := yaml.Parse(f.Name, f.Src, yaml.Limits{Size: MaxSize, Values: maxParsed})
	if err != nil {
		return err
	}
	var part struct {
		Clusters  clusters   `yaml:"clusters"`
		Routes    []Route    `yaml:"routes"`
		TCPRoutes []TCPRoute `yaml:"tcp_routes"`
	}
	err = parsed.Decode(&part)
	d.Clusters = append(d.Clusters, part.Clusters...)
	d.Routes = append(d.Routes, part.Routes...)
	d.TCPRoutes = append(d.TCPRoutes, part.TCPRoutes...)
	return err
}

func cutPort(s string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	return host, port, err == nil
}

// checkPort returns what is wrong with the port of an address that has one.
func checkPort(s string) string {
	_, port, _ := cutPort(s)
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "needs a port from 1 to 65535"
	}
	return ""
}
