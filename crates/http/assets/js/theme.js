// Sets the theme before the first paint, so that a dark page never flashes white. A plain script, no module: those run late.
(() => {
  const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  const system = matchMedia("(prefers-color-scheme: dark)");
  const wanted = () => kept === "light" || kept === "dark" ? kept : system.matches ? "dark" : "light";
  document.documentElement.dataset.theme = wanted();
  system.addEventListener("change", () => {
    if (localStorage.getItem("theme")) return;
    document.documentElement.dataset.theme = system.matches ? "dark" : "light";
    dispatchEvent(new Event("stepwell:theme"));
  });
})();
