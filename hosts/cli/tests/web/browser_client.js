// A browser at the pages of the examples: `node browser_client.js bookshelf|chat CHROMIUM ADDRESS PICTURES`.
//
// Everything waits for what has to be there, never for time. What goes wrong is told with what the page shows and what
// its console has; pictures of the pages go to the folder PICTURES.
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { chromium } = require('playwright-core');

/** More than anything here takes: what would hang says what it waits for. */
const PATIENCE = 60000;

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

/** Nothing of the machine's user, and no words with servers of the browser's maker. */
const ARGUMENTS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A page of a visitor's own, and what it has said. */
class Visitor {
  static async come(browser, address, pictures) {
    const context = await browser.newContext({ viewport: DESKTOP, baseURL: `http://${address}` });
    context.setDefaultTimeout(PATIENCE);
    return new Visitor(await context.newPage(), pictures);
  }

  constructor(page, pictures) {
    this.page = page;
    this.pictures = pictures;
    this.said = [];
    this.sockets = 0;
    this.eventStreams = 0;
    page.on('console', (message) => this.said.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => this.said.push(`error: ${error.message}`));
    page.on('websocket', () => this.sockets++);
    page.on('request', (request) => (this.eventStreams += request.resourceType() === 'eventsource'));
  }

  /** Waits until something with this text can be seen. */
  sees(text, within = 'body') {
    return this.page.locator(within).getByText(text).first().waitFor();
  }

  button(name, within = 'body') {
    return this.page.locator(within).getByRole('button', { name, exact: true }).click();
  }

  /** Presses a button of a form, and waits for the page that comes of it, with all that it takes in. */
  submit(name, within) {
    return this.loads(() => this.button(name, within));
  }

  link(name) {
    return this.loads(() => this.page.getByRole('link', { name }).click());
  }

  async loads(act) {
    const loaded = this.page.waitForEvent('load');
    await Promise.all([loaded, act()]);
  }

  async picture(name) {
    for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
      await this.page.setViewportSize(viewport);
      await this.page.screenshot({ path: path.join(this.pictures, `${name}-${size}.png`) });
      const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} is ${wide} pixels wider than a ${size}`);
    }
    await this.page.setViewportSize(DESKTOP);
  }

  /** What the console has, but for what was to be expected. */
  isQuiet(expected = /^$/) {
    assert.deepEqual(this.said.filter((line) => !expected.test(line)), []);
  }

  async report() {
    const shown = await this.page.locator('body').innerText({ timeout: 1000 }).catch((error) => error.message);
    const picture = path.join(this.pictures, 'failed.png');
    await this.page.screenshot({ path: picture }).catch(() => {});
    return `at ${this.page.url()} (${picture})\nconsole:\n  ${this.said.join('\n  ')}\npage:\n  ${shown.replaceAll('\n', '\n  ')}`;
  }
}

async function bookshelf(come) {
  const ada = await come();
  const { page } = ada;
  await page.goto('/');
  await ada.sees('5 books', 'h1');
  const display = await page.locator('.shelf').evaluate((it) => getComputedStyle(it).display);
  assert.equal(display, 'grid', 'the style sheet is there');
  await ada.picture('bookshelf');

  // The script is there.
  await page.getByLabel('Find').fill('garcía');
  await ada.page.locator('.book:visible').filter({ hasText: 'Cien años de soledad' }).waitFor();
  assert.equal(await page.locator('.book:visible').count(), 1);
  await page.getByLabel('Find').fill('nothing like that');
  await ada.sees('No book is called that.');

  // A form: refused, filled in, refused again, taken, and told once.
  await ada.link('Add a book');
  await ada.submit('Add it');
  for (const field of ['Title', 'Author', 'Year']) {
    await ada.sees(`The ${field} field is required.`);
  }
  await page.getByLabel('Title').fill('MOMO');
  await page.getByLabel('Author').fill('Flann O’Brien');
  await page.getByLabel('Year').fill('1967');
  await page.getByLabel('Why read it?').fill('Bicycles & <atoms>');
  await ada.sees('382 characters left');
  await ada.submit('Add it');
  await ada.sees('There is a book of this title already.');
  await ada.picture('bookshelf-form');
  await page.getByLabel('Title').fill('The Third Policeman');
  await ada.submit('Add it');
  await ada.sees('“The Third Policeman” stands on the shelf now.', '.told');
  await ada.sees('Bicycles & <atoms>', 'blockquote');
  await ada.picture('bookshelf-book');
  await page.reload();
  await ada.sees('The Third Policeman', 'h1');
  assert.equal(await page.locator('.told').count(), 0, 'what was told is told again');

  // What a session keeps, and what is another's.
  await ada.submit('Put on my list');
  await ada.sees('“The Third Policeman” is on your list.');
  await ada.sees('1', '.count');
  await page.goBack();
  await page.reload();
  await ada.submit('Take off my list');
  await ada.sees('There is nothing on it.');
  await ada.sees('0', '.count');
  const bob = await come();
  await bob.page.goto('/');
  await bob.sees('6 books', 'h1');
  await bob.submit('Put on my list', '.book:has-text("Momo")');
  await bob.sees('1', '.count');
  await page.reload();
  await ada.sees('0', '.count');

  const missing = await page.goto('/books/details/99');
  assert.equal(missing.status(), 404);
  await ada.sees('Not here', 'h1');
  await ada.picture('bookshelf-missing');
  ada.isQuiet(/status of 404/);
  bob.isQuiet();
}

async function chat(come) {
  for (const transport of ['WebSockets', 'ServerSentEvents', 'LongPolling']) {
    const [ada, bob] = [await come(), await come()];
    for (const [visitor, name] of [[ada, 'Ada'], [bob, 'Bob']]) {
      await visitor.page.goto(`/?transport=${transport}`);
      await visitor.page.getByLabel('Your name').fill(name);
      await visitor.page.getByLabel('Room').fill(transport);
      if (name === 'Ada' && transport === 'WebSockets') await ada.picture('chat-enter');
      await visitor.button('Join');
      await visitor.sees(`${name} in ${transport}`, '#status');
    }
    await ada.sees('Bob', '#people');
    await ada.sees('2', '#rooms [aria-current]');

    const write = async (visitor, text, button) => {
      await visitor.page.getByLabel('Message').fill(text);
      await visitor.button(button);
    };
    await write(ada, 'Is anybody <b>here</b>?', 'Send');
    await bob.sees('Is anybody <b>here</b>?', '#messages');
    await write(bob, 'I am. 🍵', 'Send');
    await ada.sees('I am. 🍵', '#messages');
    await ada.page.locator('#messages li.mine').filter({ hasText: 'Is anybody' }).waitFor();

    await write(bob, 'Shall we have tea?', 'Ask');
    await ada.sees('Bob asks: Shall we have tea?', '#votes');
    await ada.picture(`chat-${transport}`);
    await ada.button('Yes', '#votes');
    for (const visitor of [ada, bob]) {
      await visitor.sees('Shall we have tea? 1 yes, 0 no', '#messages');
    }

    // Who comes late reads what was said, in its order.
    const eve = await come();
    await eve.page.goto(`/?transport=${transport}`);
    await eve.page.getByLabel('Your name').fill('Eve');
    await eve.page.getByLabel('Room').fill(transport);
    await eve.button('Join');
    await eve.sees('1 yes, 0 no', '#messages');
    const texts = await eve.page.locator('#messages li span').allInnerTexts();
    assert.deepEqual(texts, ['Is anybody <b>here</b>?', 'I am. 🍵', 'Shall we have tea? 1 yes, 0 no']);
    await bob.page.context().close();
    await ada.page.locator('#people').filter({ hasNotText: 'Bob' }).waitFor();

    const used = [ada.sockets, ada.eventStreams];
    const expected = { WebSockets: [1, 0], ServerSentEvents: [0, 1], LongPolling: [0, 0] };
    assert.deepEqual(used, expected[transport], `${transport}: WebSockets and event streams that were opened`);
    for (const visitor of [ada, bob, eve]) {
      visitor.isQuiet(/^info: |Normalizing/);
    }
    await ada.page.context().close();
    await eve.page.context().close();
  }
}

async function main(scenario, executablePath, address, pictures) {
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS, chromiumSandbox: false });
  const visitors = [];
  const come = async () => {
    const visitor = await Visitor.come(browser, address, pictures);
    visitors.push(visitor);
    return visitor;
  };
  try {
    await { bookshelf, chat }[scenario](come);
  } catch (error) {
    console.error(error.stack);
    for (const visitor of visitors.filter((it) => !it.page.isClosed())) {
      console.error(await visitor.report());
    }
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
});
