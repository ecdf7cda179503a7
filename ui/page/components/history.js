// Back and forward: opening a moment is one step; going on to the next one is none; closing it is the step back. Streamlit would
// take a step forward for each, and back would then open what was closed.

if (!window.sensoriumSteps) {
  window.sensoriumSteps = true;
  const push = history.pushState.bind(history);
  const opened = (address) => new URL(address, location.href).searchParams.has("open");
  const question = (address) => {
    const params = new URL(address, location.href).searchParams;
    params.delete("open");
    return params.toString();
  };
  let leaving = false;
  addEventListener("popstate", () => { leaving = false; });

  history.pushState = (state, title, address = location.href) => {
    const here = location.href, same = question(here) === question(address);
    if (!same || !opened(here)) return push({ ...state, opened: same }, title, address);
    if (opened(address)) return history.replaceState(history.state, title, address);
    if (!history.state?.opened) return history.replaceState(state, title, address); // it was opened by its link: nothing lies before
    if (leaving) return;
    leaving = true;
    history.back();
    setTimeout(() => { // a browser may have something else to do than to go back
      if (leaving && location.href === here) history.replaceState(state, title, address);
      leaving = false;
    }, 1000);
  };
}
