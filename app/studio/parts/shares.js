/**
 * Weights as whole percentages whose sum is 100. Each is rounded down, and what is left goes to
 * those that lost most. All are 0 if all weights are.
 *
 * @param {number[]} weights none below 0 @returns {number[]}
 */
export function percentages(weights) {
  const sum = weights.reduce((a, b) => a + b, 0);
  if (sum === 0) return weights.map(() => 0);
  const exact = weights.map((weight) => (100 * weight) / sum);
  const whole = exact.map(Math.floor);
  const lost = exact.map((part, i) => [part - whole[i], i]).sort(([a], [b]) => b - a);
  const left = 100 - whole.reduce((a, b) => a + b, 0);
  for (const [, i] of lost.slice(0, left)) whole[i] += 1;
  return whole;
}
