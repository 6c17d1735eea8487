// Keeps each element with data-live up to date: it holds what that address answers.
(() => {
  const seen = new WeakMap();
  const update = async element => {
    try {
      const answer = await fetch(element.dataset.live, {cache: 'no-store'});
      if (!answer.ok) return;
      const text = await answer.text();
      if (seen.get(element) === text || element.contains(document.activeElement)) return;
      seen.set(element, text);
      element.replaceChildren(...document.adoptNode(new DOMParser().parseFromString(text, 'text/html').body).childNodes);
    } catch { /* The program has stopped; it may come back. */ }
  };
  setInterval(() => { if (!document.hidden) document.querySelectorAll('[data-live]').forEach(update); }, 1000);
})();
