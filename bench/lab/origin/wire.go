package origin

// What clients and origin agree on.
const (
	// IDField is the header that carries the ID of an exchange. A raw tunnel sends it as
	// its first line.
	IDField = "X-Lab-Id"
	// GenerationField is the header of a response that says which server gave it.
	GenerationField = "X-Lab-Origin"
	// EventsEnd is the last event of a stream.
	EventsEnd = "event: end\ndata: complete\n\n"
	// Paths.
	ShortPath  = "/short"
	SlowPath   = "/slow" // ?d=1500ms
	EchoPath   = "/echo"
	EventsPath = "/events" // ?d=3s
	SocketPath = "/ws"
)

// Filler follows the ID in a short answer, so that a truncated one is not a whole one.
const Filler = " is what you asked for, and here is some more of it so that it takes a few packets' worth of attention: "

// Answer is the body of a short or slow answer.
func Answer(id string) string { return id + Filler + id + "\n" }
