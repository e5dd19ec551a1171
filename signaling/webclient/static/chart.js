// A small chart of one or two quantities over the last minute, as inline SVG.

import { make, setText } from './dom.js';

const namespace = 'http://www.w3.org/2000/svg';
const width = 240;
const height = 56;
const samples = 60;

/**
 * @typedef {object} Options
 * @property {string} title
 * @property {string[]} series names of the one or two lines
 * @property {(value: number) => string} format a value with its unit
 * @property {number} floor the scale ends here at least, so that noise stays small
 */

export class Chart {
  element;
  #options;
  /** @type {(number | null)[][]} */
  #values;
  #lines;
  #areas;
  #numbers;
  #scale;
  #svg;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#values = options.series.map(() => []);
    this.#svg = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', preserveAspectRatio: 'none', 'aria-label': `${options.title}: no data yet` });
    for (const y of [0.5, height / 2, height - 0.5]) this.#svg.append(svg('line', { class: 'grid', x1: '0', x2: String(width), y1: String(y), y2: String(y) }));
    this.#areas = options.series.map((_, i) => svg('path', { class: `area series-${i}` }));
    this.#lines = options.series.map((_, i) => svg('path', { class: `line series-${i}` }));
    this.#svg.append(...this.#areas, ...this.#lines);
    this.#numbers = options.series.map(() => make('b', {}, '–'));
    this.#scale = make('span', { class: 'scale', 'aria-hidden': 'true' });
    const legend = options.series.map((name, i) => make('span', { class: `key series-${i}` }, make('i', { 'aria-hidden': 'true' }), name, ' ', this.#numbers[i]));
    this.element = make('figure', { class: 'chart' }, make('figcaption', {}, make('span', { class: 'label' }, options.title), ...legend), this.#svg, this.#scale);
  }

  /** Adds a sample; null is one that is not known. @param {...(number | null)} values */
  add(...values) {
    this.#values.forEach((kept, i) => {
      kept.push(values[i] ?? null);
      if (kept.length > samples) kept.shift();
    });
    this.#draw();
  }

  clear() {
    this.#values = this.#values.map(() => []);
    this.#draw();
  }

  #draw() {
    const { title, series, format, floor } = this.#options;
    const top = Math.max(floor, ...this.#values.flat().map((v) => v ?? 0)) * 1.1;
    const spoken = series.map((name, i) => {
      const values = this.#values[i];
      const points = values.flatMap((v, n) => (v === null ? [] : [[((samples - values.length + n) * width) / (samples - 1), height - 2 - (v / top) * (height - 6)]]));
      const line = points.map(([x, y], n) => `${n === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
      this.#lines[i].setAttribute('d', line);
      this.#areas[i].setAttribute('d', points.length > 1 ? `${line}L${points[points.length - 1][0].toFixed(1)} ${height}L${points[0][0].toFixed(1)} ${height}Z` : '');
      const last = values[values.length - 1] ?? null;
      const text = last === null ? '–' : format(last);
      setText(this.#numbers[i], text);
      return `${name} ${text}`;
    });
    setText(this.#scale, this.#values.flat().some((v) => v !== null) ? format(top / 1.1) : '');
    this.#svg.setAttribute('aria-label', `${title}, now: ${spoken.join(', ')}`);
  }
}

/** @param {string} tag @param {Record<string, string>} attributes */
function svg(tag, attributes) {
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
