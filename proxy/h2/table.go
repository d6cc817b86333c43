package h2

// table is the dynamic table of an encoder, RFC 7541 section 2.3.2. What it holds, the peer's decoder holds as well.
type table struct {
	entries []entry // the oldest first
	size    int     // as section 4.1 counts it
	most    int
}

type entry struct {
	tag         uint64 // a hash of both; what it finds is compared
	name, value string
}

// A table of defaultTable bytes holds so few entries that looking through their tags is cheaper than a map.
const (
	entryCost   = 32
	staticCount = 61
)

func (e *entry) size() int { return len(e.name) + len(e.value) + entryCost }

// find returns the index of a field, counted from behind the static table; 0: it is not there.
func (t *table) find(tag uint64, name, value []byte) int {
	for i := len(t.entries) - 1; i >= 0; i-- {
		if e := &t.entries[i]; e.tag == tag && e.value == string(value) && e.name == string(name) {
			return staticCount + len(t.entries) - i
		}
	}
	return 0
}

// add puts a field in, for which the oldest leave (section 4.4). It reports whether it can be there.
func (t *table) add(tag uint64, name, value string) bool {
	e := entry{tag, name, value}
	if e.size() > t.most {
		return false
	}
	leave := 0
	for ; t.size+e.size() > t.most; leave++ {
		t.size -= t.entries[leave].size()
	}
	if leave > 0 {
		rest := copy(t.entries, t.entries[leave:])
		clear(t.entries[rest:])
		t.entries = t.entries[:rest]
	}
	t.entries = append(t.entries, e)
	t.size += e.size()
	return true
}

// staticPair is the index of a pseudo-field with its value in the static table, RFC 7541 appendix A; 0: it is not there.
func staticPair(name, value []byte) byte {
	switch string(name) {
	case ":method":
		switch string(value) {
		case "GET":
			return 2
		case "POST":
			return 3
		}
	case ":path":
		switch string(value) {
		case "/":
			return 4
		case "/index.html":
			return 5
		}
	case ":scheme":
		switch string(value) {
		case "http":
			return 6
		case "https":
			return 7
		}
	case ":status":
		switch string(value) {
		case "200":
			return 8
		case "204":
			return 9
		case "206":
			return 10
		case "304":
			return 11
		case "400":
			return 12
		case "404":
			return 13
		case "500":
			return 14
		}
	}
	return 0
}

// staticNames holds an index of the static table for each name in it, RFC 7541 appendix A.
var staticNames = map[string]uint8{
	":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, ":status": 8,
	"accept-charset": 15, "accept-encoding": 16, "accept-language": 17, "accept-ranges": 18, "accept": 19,
	"access-control-allow-origin": 20, "age": 21, "allow": 22, "authorization": 23, "cache-control": 24,
	"content-disposition": 25, "content-encoding": 26, "content-language": 27, "content-length": 28,
	"content-location": 29, "content-range": 30, "content-type": 31, "cookie": 32, "date": 33, "etag": 34,
	"expect": 35, "expires": 36, "from": 37, "host": 38, "if-match": 39, "if-modified-since": 40,
	"if-none-match": 41, "if-range": 42, "if-unmodified-since": 43, "last-modified": 44, "link": 45,
	"location": 46, "max-forwards": 47, "proxy-authenticate": 48, "proxy-authorization": 49, "range": 50,
	"referer": 51, "refresh": 52, "retry-after": 53, "server": 54, "set-cookie": 55,
	"strict-transport-security": 56, "transfer-encoding": 57, "user-agent": 58, "vary": 59, "via": 60,
	"www-authenticate": 61,
}
