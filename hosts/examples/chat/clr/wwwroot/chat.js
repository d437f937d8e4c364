'use strict';
// The page of the chat. `?transport=WebSockets|ServerSentEvents|LongPolling` allows that transport alone.

const byId = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search).get('transport');
const me = { name: '', room: '' };
let connection;

if (!window.signalR) {
  refuse('The SignalR client, lib/signalr.min.js, is missing: run `make setup` where Node and npm are.');
}

byId('enter').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  me.name = form.get('name').trim();
  try {
    connection ??= connect();
    if (connection.state === 'Disconnected') await connection.start();
    await join(form.get('room').trim());
    byId('enter').hidden = true;
    byId('chat').hidden = false;
    byId('say').elements.text.focus();
  } catch (error) {
    refuse(error.message);
  }
});

byId('say').addEventListener('submit', async (event) => {
  event.preventDefault();
  await send('Say');
});

byId('ask').addEventListener('click', () => byId('say').reportValidity() && send('Ask'));

function connect() {
  const options = wanted ? { transport: signalR.HttpTransportType[wanted] } : {};
  const made = new signalR.HubConnectionBuilder()
    .withUrl('hub', options)
    .withAutomaticReconnect({ nextRetryDelayInMilliseconds: (it) => Math.min(it.previousRetryCount * 500, 5000) })
    .build();
  made.on('said', show);
  made.on('people', (names) => fill('people', names, (name) => element('li', name)));
  made.on('rooms', showRooms);
  made.on('vote', vote);
  made.onreconnecting(() => say('again', 'connecting again…'));
  made.onreconnected(() => join(me.room).catch((error) => refuse(error.message)));
  made.onclose(() => say('away', 'not connected'));
  return made;
}

async function join(room) {
  me.room = room;
  await connection.invoke('Join', room, me.name);
  say('here', `${me.name} in ${room}`);
  byId('messages').replaceChildren();
  connection.stream('History').subscribe({ next: show, complete() {}, error: (error) => refuse(error.message) });
}

/** Sends what is in the line for it; stays there if it does not arrive. */
async function send(method) {
  const line = byId('say').elements.text;
  const text = line.value;
  line.value = '';
  try {
    await connection.invoke(method, text);
  } catch (error) {
    line.value = text;
    line.setCustomValidity(error.message);
    line.reportValidity();
    line.addEventListener('input', () => line.setCustomValidity(''), { once: true });
  }
}

function show(message) {
  const time = new Date(message.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const item = element('li', '');
  item.dataset.id = message.id;
  item.classList.toggle('mine', message.name === me.name);
  item.append(element('small', `${message.name}, ${time}`), element('span', message.text));
  // What is said while the past is read comes both ways, and before some of the past.
  const later = [...byId('messages').children].find((it) => Number(it.dataset.id) >= message.id);
  if (Number(later?.dataset.id) === message.id) return;
  byId('messages').insertBefore(item, later ?? null);
  byId('messages').lastChild.scrollIntoView({ block: 'end' });
}

function showRooms(counts) {
  fill('rooms', Object.entries(counts), ([room, count]) => {
    const button = element('button', room);
    button.type = 'button';
    if (room === me.room) button.setAttribute('aria-current', 'true');
    button.append(element('span', String(count)));
    button.addEventListener('click', () => join(room).catch((error) => refuse(error.message)));
    const item = element('li', '');
    item.append(button);
    return item;
  });
}

/** The server waits for the answer. */
function vote(name, question) {
  return new Promise((answer) => {
    const box = element('div', '');
    box.append(element('p', `${name} asks: ${question}`));
    for (const [label, value] of [['Yes', true], ['No', false]]) {
      const button = element('button', label);
      button.addEventListener('click', () => {
        box.remove();
        answer(value);
      });
      box.append(button);
    }
    byId('votes').append(box);
  });
}

function say(state, text) {
  byId('status').dataset.state = state;
  byId('status').textContent = text;
}

function refuse(reason) {
  const place = document.querySelector('#enter .error');
  place.textContent = reason;
  place.hidden = false;
  say('away', reason);
}

function fill(id, list, make) {
  byId(id).replaceChildren(...list.map(make));
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
