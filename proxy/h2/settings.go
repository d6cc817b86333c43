package h2

import "encoding/binary"

// The settings of RFC 9113 section 6.5.2 and RFC 8441 section 3.
const (
	settingTable      = 1
	settingPush       = 2
	settingStreams    = 3
	settingWindow     = 4
	settingFrame      = 5
	settingHeaderList = 6
	settingConnect    = 8
)

// appendSettings appends our SETTINGS, those that differ from the defaults. The HPACK table keeps the default of
// 4096 bytes, so there is no time at which the peer may not know its size yet.
func (c *Conn) appendSettings(dst []byte) []byte {
	begin := len(dst)
	dst = appendFrame(dst, frame{typ: frameSettings})
	set := func(id uint16, v uint32) {
		dst = binary.BigEndian.AppendUint16(dst, id)
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	if c.cfg.Client {
		set(settingPush, 0)
	} else {
		set(settingStreams, c.cfg.MaxStreams)
	}
	if c.cfg.StreamWindow != firstWindow {
		set(settingWindow, uint32(c.cfg.StreamWindow))
	}
	if c.cfg.MaxFrame != minMaxFrame {
		set(settingFrame, uint32(c.cfg.MaxFrame))
	}
	set(settingHeaderList, uint32(c.cfg.HeaderList))
	if c.cfg.ExtendedConnect && !c.cfg.Client {
		set(settingConnect, 1)
	}
	dst[begin+2] = byte(len(dst) - begin - headerLen)
	return dst
}

// SettingsAcked reports whether the peer has acknowledged our SETTINGS. A peer that never does is for the caller to
// bound (SETTINGS_TIMEOUT).
func (c *Conn) SettingsAcked() bool { return c.acked }

// PeerMaxStreams is how many streams the peer takes at a time, 100 for a client that does not know yet.
func (c *Conn) PeerMaxStreams() uint32 { return c.peerStreams }

// PeerExtendedConnect reports whether the peer takes CONNECT with :protocol, RFC 8441.
func (c *Conn) PeerExtendedConnect() bool { return c.peerConnect }

// handleSettings reads SETTINGS, RFC 9113 section 6.5.
func (c *Conn) handleSettings(p []byte) {
	if c.f.has(flagAck) {
		if len(p) != 0 {
			c.fail(FrameSizeError, BadFrameSize, "an acknowledgement of SETTINGS with a payload")
			return
		}
		if c.charge(1) && !c.acked {
			c.settingsAcked()
		}
		return
	}
	const each = 6
	if len(p)%each != 0 {
		c.fail(FrameSizeError, BadFrameSize, "SETTINGS whose length is no multiple of six")
		return
	}
	if !c.charge(4 + len(p)/each) { // each may go over all streams
		return
	}
	known := c.peerKnown
	c.peerKnown = true
	if c.cfg.Client && !known {
		c.peerStreams = maxStreamID // unless they say otherwise
	}
	for ; len(p) > 0 && c.err == nil; p = p[each:] {
		c.setting(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:]))
	}
	if c.err != nil {
		return
	}
	c.queue(appendFrame(c.outgoing(), frame{typ: frameSettings, flags: flagAck}))
	c.owe(headerLen)
	if c.err == nil {
		c.ev.Settings()
	}
}

func (c *Conn) setting(id uint16, v uint32) {
	switch id {
	case settingTable:
		v = min(v, defaultTable) // a larger one would cost us memory
		if v != c.peerTable {
			c.encoder().resize(v) // also if it goes back before anything was encoded: the smallest has to be signaled
		}
		c.peerTable = v
	case settingPush:
		if v > 1 || v == 1 && c.cfg.Client {
			c.fail(ProtocolError, BadSetting, "ENABLE_PUSH is out of range")
		}
	case settingStreams:
		c.peerStreams = v
	case settingWindow:
		c.peerWindow(v)
	case settingFrame: // we never send more than the smallest that it can be
		if v < minMaxFrame || v > maxMaxFrame {
			c.fail(ProtocolError, BadSetting, "MAX_FRAME_SIZE is out of range")
		}
	case settingConnect:
		if v > 1 || v == 0 && c.peerConnect {
			c.fail(ProtocolError, BadSetting, "ENABLE_CONNECT_PROTOCOL is out of range, or taken back")
		}
		c.peerConnect = v == 1
	}
}

// peerWindow changes what we may send on every stream by the difference, RFC 9113 section 6.9.2. Windows may become
// negative; one that overflows ends the connection.
func (c *Conn) peerWindow(v uint32) {
	if v > maxWindow {
		c.fail(FlowControlError, BadSetting, "INITIAL_WINDOW_SIZE is out of range")
		return
	}
	diff := int64(v) - int64(c.streamSend)
	c.streamSend = int32(v)
	for _, s := range c.open {
		to := int64(s.send) + diff
		if to > maxWindow {
			c.fail(FlowControlError, BadWindow, "INITIAL_WINDOW_SIZE overflows the window of a stream")
			return
		}
		s.send = int32(to)
		if s.send > 0 {
			c.makeReady(s)
		} else {
			c.ready.remove(s)
		}
	}
}

// settingsAcked: from now on the peer knows how little we take for a stream.
func (c *Conn) settingsAcked() {
	c.acked = true
	diff := c.streamRecv - int32(c.cfg.StreamWindow)
	c.streamRecv -= diff
	for _, s := range c.open {
		s.recv -= diff
	}
}
