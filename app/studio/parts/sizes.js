/** @param {number} bytes @returns {string} in two or three digits, such as "13 MB" */
export function sizeWords(bytes) {
  const units = ["kB", "MB", "GB", "TB"];
  let amount = bytes / 1000;
  while (amount >= 999.5 && units.length > 1) {
    amount /= 1000;
    units.shift();
  }
  return `${Number(amount.toPrecision(amount < 100 ? 2 : 3))} ${units[0]}`;
}
