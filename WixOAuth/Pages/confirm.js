// The button works once the page has been in front for a second. Otherwise a page that asks for a double click, and closes
// or leaves its window at the first one, has the second one press it.
(() => {
  const form = document.forms[0], button = form.querySelector('button');
  let timer;
  const hold = () => {
    button.ariaDisabled = 'true';
    clearTimeout(timer);
    timer = setTimeout(() => { button.ariaDisabled = null; }, 1000);
  };
  for (const name of ['focus', 'pageshow']) addEventListener(name, hold);
  form.addEventListener('submit', event => {
    if (button.ariaDisabled) event.preventDefault();

    // A second press would cut off the answer to the first: the link would be used, and its cookie lost.
    else button.ariaDisabled = 'true';
  });
  hold();
})();
