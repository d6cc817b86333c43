// A client of the npm package ws: opens WebSockets, and talks on each until it ends. One line of JSON for each end.
//
//	node client.js URL N [CA]      # prints "open" once all are
'use strict';
const fs = require('fs');
const WebSocket = require('ws');
const [url, n, ca] = process.argv.slice(2);
let open = 0;
for (let i = 0; i < Number(n); i++) {
  const options = ca ? {ca: fs.readFileSync(ca), servername: 'app.example.com', headers: {Host: 'app.example.com'}} : {};
  const ws = new WebSocket(`${url}/${i}`, options);
  let sent = 0, got = 0, timer, fault = '';
  ws.on('open', () => {
    if (++open === Number(n)) console.log('open');
    timer = setInterval(() => {
      if (ws.readyState !== WebSocket.OPEN) return;
      const message = Buffer.alloc(4 + Math.floor(Math.random() * 2000));
      message.writeUInt32BE(sent++);
      ws.send(message);
    }, 5);
  });
  ws.on('message', (data) => {
    if (data.readUInt32BE(0) !== got) fault = fault || `message ${data.readUInt32BE(0)}, want ${got}`;
    got++;
  });
  ws.on('error', (err) => { fault = fault || String(err); });
  ws.on('close', (code, reason) => {
    clearInterval(timer);
    console.log(JSON.stringify({socket: i, code, reason: String(reason), sent, got, fault}));
  });
}
