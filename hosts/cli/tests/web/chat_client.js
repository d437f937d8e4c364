// People of the example Chat, by the npm package @microsoft/signalr.
//
//   node chat_client.js rooms ADDRESS TRANSPORT   three of them talk over one transport
//   node chat_client.js returns ADDRESS           one on each transport; whoever runs this ends the server at each line
//                                                 `end the server`, starts another and answers `another is there`
'use strict';

const assert = require('node:assert/strict');
const { createInterface } = require('node:readline');
const { HttpTransportType, HubConnectionBuilder, LogLevel } = require('@microsoft/signalr');

/** More than anything here takes: what would hang says what it waits for. */
const PATIENCE = 60000;

/** Somebody in the chat: keeps what they hear, and can wait until they have heard something. */
class Person {
  constructor(name, address, transport) {
    this.name = name;
    this.said = [];
    this.people = [];
    this.rooms = {};
    this.returns = 0;
    this.waiting = new Set();
    this.connection = new HubConnectionBuilder()
      .withUrl(`http://${address}/hub`, { transport: HttpTransportType[transport] })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 50 })
      .configureLogging(LogLevel.None)
      .build();
    this.hear('said', (message) => this.said.push(`${message.name}: ${message.text}`));
    this.hear('people', (names) => (this.people = names));
    this.hear('rooms', (counts) => (this.rooms = counts));
    this.connection.onreconnected(() => {
      this.returns++;
      this.waiting.forEach((look) => look());
    });
  }

  hear(event, keep) {
    this.connection.on(event, (what) => {
      keep(what);
      this.waiting.forEach((look) => look());
    });
  }

  async come(room) {
    await this.connection.start();
    await this.connection.invoke('Join', room, this.name);
  }

  /** Joins again, once the client has connected again by itself. */
  async comeBack(room) {
    for (;;) {
      const returns = this.returns;
      await this.until('the connection is back', () => this.connection.state === 'Connected');
      try {
        return await this.connection.invoke('Join', room, this.name);
      } catch (error) {
        // It was the one to the server that has ended. The client finds out, and connects again.
        await this.until(`there is another connection after ${error}`, () => this.returns > returns);
      }
    }
  }

  until(what, isSo) {
    return new Promise((resolve, reject) => {
      const seen = () => JSON.stringify({ said: this.said, people: this.people, rooms: this.rooms });
      const timer = setTimeout(() => reject(new Error(`${this.name} waits until ${what}, and has ${seen()}`)), PATIENCE);
      const look = () => {
        if (!isSo()) return;
        clearTimeout(timer);
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
      look();
    });
  }

  hears(line) {
    return this.until(`they hear ${line.slice(0, 40)}`, () => this.said.includes(line));
  }

  sees(...names) {
    return this.until(`${names} are there`, () => String(this.people) === String(names));
  }

  history() {
    const past = [];
    return new Promise((resolve, error) =>
      this.connection.stream('History').subscribe({
        next: (message) => past.push(`${message.name}: ${message.text}`),
        complete: () => resolve(past),
        error,
      }));
  }
}

async function rooms(address, transport) {
  const [tea, coffee] = [`tea by ${transport}`, `coffee by ${transport}`];
  const [ada, bob, eve] = ['Ada', 'Bob', 'Eve'].map((name) => new Person(name, address, transport));
  await ada.come(tea);
  await bob.come(tea);
  await ada.sees('Ada', 'Bob');
  await eve.come(coffee);

  // To all who are connected.
  for (const person of [ada, bob, eve]) {
    await person.until('both rooms are known', () => person.rooms[tea] === 2 && person.rooms[coffee] === 1);
  }

  // To a group. What Eve hears comes in order: had she heard Bob, it would be before her own.
  const long = 'ä☕'.repeat(300);
  for (const text of ['Good morning', long]) {
    await bob.connection.invoke('Say', text);
    await Promise.all([ada.hears(`Bob: ${text}`), bob.hears(`Bob: ${text}`)]);
  }
  await eve.connection.invoke('Say', 'Anybody here?');
  await eve.hears('Eve: Anybody here?');
  assert.deepEqual(eve.said, ['Eve: Anybody here?']);

  // As a stream.
  assert.deepEqual(await ada.history(), ['Bob: Good morning', `Bob: ${long}`]);

  // A question of the server to clients, which it waits for.
  ada.connection.on('vote', (name, question) => name === 'Bob' && question === 'Cake?');
  assert.deepEqual(await bob.connection.invoke('Ask', 'Cake?'), { yes: 1, no: 0, silent: 0 });
  await ada.hears('Bob asked: Cake? 1 yes, 0 no');

  // Errors that are meant for the client.
  await assert.rejects(bob.connection.invoke('Say', ''), /a message has 1 to 1000 characters/);
  await assert.rejects(bob.connection.invoke('Say', 'x'.repeat(20000)), /a message has 1 to 1000 characters/);

  await bob.connection.invoke('Join', coffee, 'Bob');
  await eve.sees('Bob', 'Eve');
  await ada.sees('Ada');
  await bob.connection.stop();
  await eve.sees('Eve');
  await Promise.all([ada.connection.stop(), eve.connection.stop()]);
}

async function returns(address) {
  const told = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const names = ['LongPolling', 'ServerSentEvents', 'WebSockets'];
  const people = names.map((name) => new Person(name, address, name));
  for (const person of people) {
    await person.come('lobby');
  }
  for (let round = 1; round <= 2; round++) {
    await Promise.all(people.map((person) => person.sees(...names)));
    console.log('end the server');
    assert.equal((await told.next()).value, 'another is there');
    people.forEach((person) => (person.people = []));
    await Promise.all(people.map((person) => person.comeBack('lobby')));
    await Promise.all(people.map((person) => person.sees(...names)));
    // What was said to the one before is gone with it.
    assert.deepEqual(await people[0].history(), []);
    await people[0].connection.invoke('Say', `round ${round}`);
    await Promise.all(people.map((person) => person.hears(`LongPolling: round ${round}`)));
  }
  people.forEach((person) => assert.ok(person.returns >= 2, `${person.name} has come back ${person.returns} times`));
  await Promise.all(people.map((person) => person.connection.stop()));
}

const [what, ...rest] = process.argv.slice(2);
// Ended outright: connections that are still there would keep the process.
({ rooms, returns })[what](...rest).then(
  () => {
    console.log('done');
    process.exit(0);
  },
  (error) => {
    console.error(error.stack);
    process.exit(1);
  },
);
