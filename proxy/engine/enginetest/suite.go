package enginetest

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Options are what a test asks of a driver.
type Options struct {
	Shards  int // handlers
	Workers int // bound of Ask in each shard
	// AcceptError is to be told of an accept that failed and is tried again. May be nil.
	AcceptError func(listener int, err error)
}

// Factory makes a driver that was not started. It must accept from any net.Listener
// and dial over the system's TCP.
type Factory func(Options) engine.Driver

// suite is every test by name. A name reads as the sentence of the contract it holds
// a driver to.
var suite = []struct {
	name string
	run  func(*testing.T, Factory)
}{
	{"accepted says who and where", testAccepted},
	{"calls of a shard never overlap", testOneCallAtATime},
	{"what is sent is copied", testSendCopies},
	{"pause holds data and EOF back", testPauseHoldsBack},
	{"pause within accepted holds from the start", testPauseFromTheStart},
	{"sent comes exactly when the queue empties", testSentWhenEmpty},
	{"check tells what the peer has", testCheck},
	{"unread tells what waits behind a read", testUnread},
	{"back-pressure keeps memory flat", testBackPressure},
	{"an echo is exact to the byte", testEchoExact},

	{"a move carries so many bytes and no more", testMoveCounted},
	{"a move until EOF", testMoveToEOF},
	{"a move begins behind what is queued", testMoveBehindQueue},
	{"pause holds a move", testMovePaused},
	{"moves to peers that do not read hold nobody else up", testMoveStalled},
	{"a move whose source breaks", testMoveSourceReset},
	{"an early answer survives a move", testMoveEarlyAnswer},
	{"close and abort end a move", testMoveEnds},

	{"after CloseWrite reading goes on", testCloseWrite},
	{"CloseWrite sends FIN after what is queued", testCloseWriteOrder},
	{"sending after CloseWrite panics", testSendAfterFIN},
	{"half-close both ways ends in good order", testHalfCloseBothWays},
	{"close flushes, sends FIN and reads to EOF", testClose},
	{"close counts what it discards", testCloseDiscards},
	{"close waits for the peer no longer than linger", testCloseLinger},
	{"close reports what it could not flush, and it looks truncated", testCloseUnsent},
	{"close and abort within a call", testEndWithinCall},
	{"abort resets", testAbort},
	{"abort ends a close", testAbortAfterClose},
	{"a reset is told as one", testPeerReset},
	{"a reset is told to a paused connection", testPeerResetWhilePaused},
	{"a reset never looks like EOF", testResetIsNotEOF},
	{"an early answer survives the reset of our write", testEarlyAnswer},

	{"dial succeeds", testDial},
	{"dial is refused", testDialRefused},
	{"dial times out", testDialTimeout},
	{"close or abort of a dial is one Closed", testDialGivenUp},
	{"a stale ID does nothing", testStaleID},
	{"timers fire once, never early", testTimers},
	{"no timer fires after the end", testTimersEnd},
	{"a timer that ends a connection is its last", testTimersEndTogether},
	{"ask is bounded and answers on the loop", testAsk},
	{"an answer to a closed connection is dropped", testAnswerDropped},
	{"posts keep their order", testPostOrder},
	{"post from within a call", testPostWithin},
	{"post after close does nothing", testPostAfterClose},

	{"unlisten joins the accept loop", testUnlistenJoins},
	{"unlisten waits for an accept that has returned", testUnlistenWaits},
	{"unlisten under a dial storm resets nothing", testUnlistenStorm},
	{"unlisten twice, and listen again", testUnlistenTwice},
	{"yield leaves the socket to whoever else holds it", testYield},
	{"yield loses nobody in a dial storm", testYieldStorm},
	{"connections outlive their listener", testOutlivesListener},
	{"accept survives EMFILE with back-off", testAcceptBackOff},
	{"unlisten ends a back-off", testUnlistenEndsBackOff},
	{"close of a driver that never started", testCloseUnstarted},
	{"close ends everything from any state", testCloseFromAnyState},
	{"close while connections come and go", testCloseUnderLoad},
}

// Run holds the drivers of f to the contract, each test with a driver of its own,
// behind a [Referee], and looks for goroutines that outlive it.
func Run(t *testing.T, f Factory) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) }) // runs last: after the rig's and the peers'
			c.run(t, f)
		})
	}
}
