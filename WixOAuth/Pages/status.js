(() => {
  const byId = id => document.getElementById(id);
  const said = byId('said'), sure = byId('sure'), api = location.pathname.replace(/status\/*$/, '');
  const view = new URLSearchParams();
  let turn = 0, stale = false;

  // The key lives in this tab only: it survives a reload, is gone with the tab, and is never in an address.
  const kept = 'wixoauth-sign-in';
  let credentials = null;
  try { credentials = JSON.parse(sessionStorage.getItem(kept)); } catch { }
  const keep = () => { try { credentials ? sessionStorage.setItem(kept, JSON.stringify(credentials)) : sessionStorage.removeItem(kept); } catch { } };

  const call = (path, method) => {
    const headers = {};
    if (credentials.key) headers['x-functions-key'] = credentials.key;
    if (credentials.bearer) headers.authorization = 'Bearer ' + credentials.bearer;
    return fetch(api + path, {method, headers, cache: 'no-store', credentials: 'omit', redirect: 'error'});
  };

  // A name is isolated: one that runs backwards must not turn our own words around.
  const say = (name, text) => {
    const isolated = document.createElement('bdi');
    isolated.textContent = name;
    said.replaceChildren(isolated, text);
  };

  function showSignIn(text) {
    credentials = null;
    keep();
    turn++;
    for (const id of ['live', 'instances', 'at']) byId(id).replaceChildren();
    say('', '');
    if (sure.open) sure.close('no');
    byId('board').hidden = byId('sign-out').hidden = true;
    byId('sign-in').hidden = false;
    byId('sign-in-said').textContent = text;
    byId('key').focus();
  }

  async function show(recount) {
    if (!credentials) return;
    const mine = ++turn;
    try {
      const answer = await call('status/view?' + view + (recount ? (view.size ? '&' : '') + 'recount=yes' : ''), 'GET');
      if (mine !== turn) return;
      if (answer.status === 401 || answer.status === 403) return showSignIn('This key is not accepted. Check it, and sign in again.');
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (mine !== turn || document.querySelector('dialog[open]')) return;
      const focus = document.activeElement && document.activeElement.id;
      for (const id of ['live', 'instances', 'at']) byId(id).replaceWith(document.adoptNode(page.getElementById(id)));
      if (byId('board').hidden) {
        keep();
        const wasAsked = !byId('sign-in').hidden;
        byId('key').value = byId('bearer').value = '';
        byId('sign-in').hidden = true;
        byId('board').hidden = byId('sign-out').hidden = false;
        byId('sign-in-said').textContent = '';
        if (wasAsked) byId('found').focus({preventScroll: true});
      } else if (focus && document.activeElement.id !== focus) (byId(focus) ?? byId(focus === 'redeliver' ? 'events' : 'found')).focus();
      if (stale) say('', '');
      stale = false;
    } catch {
      if (mine !== turn) return;
      stale = true;
      if (byId('board').hidden) {
        byId('sign-in').hidden = false;
        byId('sign-in-said').textContent = 'The service could not be reached. Try again.';
      } else say('', 'The page could not be brought up to date. It tries again.');
    }
  }

  const confirmed = name => new Promise(resolve => {
    byId('sure-name').textContent = name;
    sure.onclose = () => resolve(sure.returnValue === 'yes');
    sure.returnValue = '';
    sure.showModal();
  });
  const problems = {unknown_instance: 'it is not known', reinstall_required: 'its owner has to install the app again', app_removed: 'the app was removed', wix_unavailable: 'Wix gives no token at the moment', storage_unavailable: 'the storage is not available'};

  document.addEventListener('click', async event => {
    const button = event.target.closest('button');
    if (!button) return;
    if (button.id === 'sign-out') return showSignIn('You are signed out.');
    if (button.dataset.close) { sure.close(button.dataset.close); return; }
    const {list, cursor} = button.dataset;
    if (list !== undefined) {
      byId('search').value = '';
      byId('status').value = list;
      view.delete('search');
      view.set('status', list);
    }
    if (list !== undefined || cursor !== undefined) {
      cursor ? view.set('cursor', cursor) : view.delete('cursor');
      await show();
      byId('found')?.focus();
      return;
    }
    const {act, id, name} = button.dataset;
    if (!act || button.ariaDisabled) return;
    if (act === 'forget' && !await confirmed(name)) return;
    const [path, method, done] = {
      refresh: [`instances/${id}/refresh`, 'POST', () => ' has a new token.'],
      setup: [`instances/${id}/setup`, 'POST', () => ' is set up.'],
      forget: [`instances/${id}`, 'DELETE', () => ' is forgotten.'],
      redeliver: ['events/redeliver', 'POST', ({events}) => `: ${events} ${events === 1 ? 'is' : 'are'} sent again within a minute.`],
    }[act];
    // Not really disabled: it would lose the keyboard's focus.
    button.ariaDisabled = 'true';
    stale = false;
    say('', '');
    try {
      const answer = await call(path, method);
      if (answer.status === 401 || answer.status === 403) return showSignIn('This key is not accepted any more. Sign in again.');
      const body = await answer.json().catch(() => ({}));
      say(name, answer.ok ? done(body) : ': ' + (problems[body.code] ?? 'that did not work') + '.');
    } catch { say(name, ': the service could not be reached.'); }
    button.ariaDisabled = null;
    await show(true);
  });

  document.addEventListener('submit', event => {
    event.preventDefault();
    if (event.target.id === 'sign-in-form') {
      credentials = {key: byId('key').value.trim(), bearer: byId('bearer').value.trim()};
      byId('sign-in-said').textContent = '';
      show();
      return;
    }
    for (const [name, value] of new FormData(event.target)) value ? view.set(name, value) : view.delete(name);
    view.delete('cursor');
    show();
  });

  setInterval(() => { if (!document.hidden && !byId('board').hidden) show(); }, 10000);
  if (credentials) show(); else byId('sign-in').hidden = false;
})();
