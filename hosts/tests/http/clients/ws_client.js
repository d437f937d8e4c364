// The npm package ws against /websocket of the application HttpContract; prints what it sees.
'use strict';

const WebSocket = require('ws');
const { once } = require('node:events');

async function main(address) {
  const url = `ws://${address}/websocket`;
  for (const [target, perMessageDeflate] of [[url, false], [`${url}?compress=1`, true]]) {
    const socket = new WebSocket(target, ['chat'], { perMessageDeflate });
    await once(socket, 'open');
    console.log(socket.protocol, socket.extensions);
    for (const message of ['hello', '', 'ä'.repeat(1000), 'x'.repeat(100000)]) {
      socket.send(message);
      const [data] = await once(socket, 'message');
      console.log(data.toString() === message);
    }
    socket.send('in ', { fin: false });
    socket.send('pieces', { fin: true });
    console.log((await once(socket, 'message'))[0].toString());
    socket.ping('there?');
    console.log((await once(socket, 'pong'))[0].toString());
    socket.close(1000, 'bye');
    const [code, reason] = await once(socket, 'close');
    console.log(code, reason.toString());
  }
  const closed = new WebSocket(url);
  await once(closed, 'open');
  closed.send('close');
  const [code, reason] = await once(closed, 'close');
  console.log(code, reason.toString());
  const aborted = new WebSocket(url);
  await once(aborted, 'open');
  aborted.on('error', () => {});
  aborted.send('abort');
  console.log((await once(aborted, 'close'))[0]);
}

main(process.argv[2]).catch((error) => {
  console.log(error.message);
  process.exitCode = 1;
});
