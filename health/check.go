package health

import (
	"fmt"
	"strconv"
	"time"
)

// Names of the checks. They keep the style of Pomerium's, so that people who come from
// there feel at home; Names prints Pomerium's own.
const (
	AuthenticateService = "authenticate.service"
	AuthorizeService    = "authorize.service"
	ProxyService        = "proxy.service"
	PolicySyncInitial   = "policy.sync.initial"
	PolicyBuild         = "policy.build"
	PolicyFreshness     = "policy.freshness"
	StorageBackend      = "storage.backend"
	ProxyListener       = "proxy.listener"
	ProxyCluster        = "proxy.cluster"
	ProxyRoute          = "proxy.route"
	SessionKeys         = "session.keys"
	RevocationSync      = "revocation.sync"
	TLSCertificates     = "tls.certificates"
	FleetPresence       = "fleet.presence"
)

// Status is the state of one check.
type Status int

// The statuses. The zero Status is Starting: not running yet.
const (
	Starting Status = iota
	Running
	Degraded // works, but not as it should; never makes the process unready
	Terminating
	Failed
	numStatuses
)

// String returns the status in upper case, as JSON writes it.
func (s Status) String() string {
	switch s {
	case Starting:
		return "STARTING"
	case Running:
		return "RUNNING"
	case Degraded:
		return "DEGRADED"
	case Terminating:
		return "TERMINATING"
	case Failed:
		return "FAILED"
	}
	return "Status(" + strconv.Itoa(int(s)) + ")"
}

// MarshalText is String.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Status) UnmarshalText(b []byte) error {
	for q := range numStatuses {
		if q.String() == string(b) {
			*s = q
			return nil
		}
	}
	return fmt.Errorf("unknown status %q", b)
}

// Class says what a check may do to readiness.
type Class int

// The classes. The zero Class is Required: what nobody classified counts.
const (
	Required      Class = iota // the process is ready only while this one is running or degraded
	Degradable                 // a fault of a dependency that others share: shown, never de-rotates a fleet (G6)
	Informational              // shown only
	numClasses
)

// String returns the class in lower case.
func (c Class) String() string {
	switch c {
	case Required:
		return "required"
	case Degradable:
		return "degradable"
	case Informational:
		return "informational"
	}
	return "Class(" + strconv.Itoa(int(c)) + ")"
}

// MarshalText is String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Class) UnmarshalText(b []byte) error {
	for q := range numClasses {
		if q.String() == string(b) {
			*c = q
			return nil
		}
	}
	return fmt.Errorf("unknown class %q", b)
}

// Attr is one free attribute of a check. The field names are part of the JSON form.
type Attr struct {
	Key   string
	Value string
}

// Check is the record of one check. It is immutable once handed out.
type Check struct {
	Name   string    `json:"-"`
	Class  Class     `json:"class"`
	Status Status    `json:"status"`
	Since  time.Time `json:"since"` // when it took this status, or this error
	Error  string    `json:"error,omitempty"`
	Attrs  []Attr    `json:"attributes,omitempty"`
}

// Naming chooses whose names are printed.
type Naming int

// The namings. The zero Naming is our own.
const (
	OurNames Naming = iota
	PomeriumNames
)

// Name translates the name of a check. What the other side has no word for keeps ours.
func (n Naming) Name(check string) string {
	if n != PomeriumNames {
		return check
	}
	switch check {
	case PolicySyncInitial:
		return "databroker.sync.initial"
	case PolicyBuild:
		return "config.databroker.build"
	case ProxyListener:
		return "xds.listener"
	case ProxyCluster:
		return "xds.cluster"
	case ProxyRoute:
		return "xds.route-configuration"
	}
	return check
}
