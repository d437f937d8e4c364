// The npm package @microsoft/signalr against the hub /chat of the application HttpContract, over every transport.
'use strict';

const { HttpTransportType, HubConnectionBuilder, LogLevel } = require('@microsoft/signalr');

async function main(address) {
  for (const transport of ['WebSockets', 'ServerSentEvents', 'LongPolling']) {
    const connection = new HubConnectionBuilder()
      .withUrl(`http://${address}/chat`, { transport: HttpTransportType[transport] })
      .configureLogging(LogLevel.None)
      .build();
    const heard = [];
    connection.on('said', (text) => heard.push(text));
    await connection.start();
    console.log(transport, await connection.invoke('Add', 2, 3));
    await connection.invoke('Say', 'hello');
    await connection.invoke('Say', 'ä'.repeat(10000));
    console.log(heard.map((text) => text.length).join(' '));
    const counted = [];
    await new Promise((complete, error) =>
      connection.stream('Count', 5).subscribe({ next: (it) => counted.push(it), complete, error }));
    console.log(counted.join(' '));
    await connection.invoke('Fail').catch((error) => console.log(error.message));
    await connection.stop();
  }
}

main(process.argv[2]).catch((error) => {
  console.log(error.message);
  process.exitCode = 1;
});
