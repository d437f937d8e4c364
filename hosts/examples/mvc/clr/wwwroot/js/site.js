'use strict';

// The shelf shows what has the words that are typed.
const filter = document.getElementById('filter');
filter?.addEventListener('input', () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  const books = [...document.querySelectorAll('.book')];
  for (const book of books) {
    const text = book.textContent.toLowerCase();
    book.hidden = !words.every((word) => text.includes(word));
  }
  document.getElementById('nothing').hidden = books.some((book) => !book.hidden);
});

// How much room is left in a text.
for (const area of document.querySelectorAll('textarea[data-count]')) {
  const longest = Number(area.dataset.valLengthMax);
  const label = document.querySelector(`label[for=${area.id}]`);
  const text = label.textContent;
  const tell = () => (label.textContent = `${text} (${longest - area.value.length} characters left)`);
  area.addEventListener('input', tell);
  tell();
}
