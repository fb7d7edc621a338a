// What the extension makes of texts: reads [{lang, text}] as JSON, answers with the sentences.
import { readFileSync } from 'node:fs';
import { makeWords } from '../../extension/lib/texts.js';

const cases = JSON.parse(readFileSync(0, 'utf8'));
const folder = new URL('../../extension/shared/text/', import.meta.url);
const words = new Map();
const wordsOf = (lang) => {
  if (!words.has(lang)) words.set(lang, makeWords(lang, JSON.parse(readFileSync(new URL(`${lang}.json`, folder), 'utf8'))));
  return words.get(lang);
};
process.stdout.write(JSON.stringify(cases.map(({ lang, text }) => wordsOf(lang).say(text))));
