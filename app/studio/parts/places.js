/** The places of the studio, by the address's fragment: the back button works, and links do. */

const sections = [...document.querySelectorAll("main > [data-place]")];
const links = [...document.querySelectorAll("nav [data-place]")];

/** Show the place that the address names, now and whenever it changes. */
export function showPlaces() {
  show(false);
  addEventListener("hashchange", () => show(true));
}

function show(moved) {
  const wanted = location.hash.slice(1);
  const known = links.some((link) => link.dataset.place === wanted);
  if (!known && wanted !== "") return; // a skip link
  const place = known ? wanted : links[0].dataset.place;
  for (const section of sections) section.hidden = section.dataset.place !== place;
  for (const link of links) {
    if (link.dataset.place === place) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (moved) sections.find((section) => !section.hidden).querySelector("h2").focus();
}
