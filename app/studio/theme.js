// Runs before the page is drawn, so that it does not flash in other colours; hence no module.
{
  const KEY = "sian-theme";
  const THEMES = ["system", "light", "dark"];
  const SHOWN = { system: ["◐", "as the system"], light: ["○", "light"], dark: ["●", "dark"] };

  const chosen = () => {
    const stored = localStorage.getItem(KEY);
    return THEMES.includes(stored) ? stored : "system";
  };
  const apply = () => {
    document.documentElement.dataset.theme = chosen();
    const button = document.getElementById("theme");
    if (button === null) return;
    const [sign, words] = SHOWN[chosen()];
    button.textContent = sign;
    button.ariaLabel = button.title = `Colours: ${words}`;
  };

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      localStorage.setItem(KEY, THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length]);
      apply();
      dispatchEvent(new Event("themechange"));
    });
  });
}
