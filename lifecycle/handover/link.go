package handover

import (
	"io"
	"os"
	"sync"
)

// Link is where a successor hears its predecessor. What it hears is latched: a channel is
// closed once and stays closed. The end of the link means that the predecessor is gone,
// and then everything that it could still say holds.
type Link struct {
	file io.ReadCloser

	permitted, switched, alone chan struct{} // each closed once, by run, in this order
	kept                       chan struct{} // closed once, by run, at any time
	done                       chan struct{} // closed by run when it returns

	once sync.Once // of Close
}

func newLink(f *os.File) *Link { return startLink(f) }

func startLink(r io.ReadCloser) *Link {
	l := &Link{file: r, permitted: make(chan struct{}), switched: make(chan struct{}), alone: make(chan struct{}), kept: make(chan struct{}), done: make(chan struct{})}
	go l.run() // owned by Link; ends with the predecessor, or with Close
	return l
}

func (l *Link) run() {
	defer close(l.done)
	defer l.Close()
	stages := []struct {
		word byte
		ch   chan struct{}
	}{{linkPermit, l.permitted}, {linkSwitch, l.switched}, {linkConfirm, l.alone}}
	word, kept := make([]byte, 1), false
	for len(stages) > 0 {
		_, err := io.ReadFull(l.file, word)
		if err == nil && word[0] == linkKeep && !kept {
			kept = true
			close(l.kept)
		}
		for len(stages) > 0 && (err != nil || stages[0].word == word[0]) {
			close(stages[0].ch)
			stages = stages[1:]
		}
	}
}

// Permitted is closed when this process may admit.
func (l *Link) Permitted() <-chan struct{} { return l.permitted }

// Switched is closed when the predecessor accepts nothing any more.
func (l *Link) Switched() <-chan struct{} { return l.switched }

// Alone is closed when the predecessor holds no socket any more.
func (l *Link) Alone() <-chan struct{} { return l.alone }

// Kept is closed when the predecessor has said that it keeps the sockets: this process will
// not serve.
func (l *Link) Kept() <-chan struct{} { return l.kept }

// Close ends the link. The channels are closed as if the predecessor were gone.
func (l *Link) Close() { l.once.Do(func() { l.file.Close() }) }
