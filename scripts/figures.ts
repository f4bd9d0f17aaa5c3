/**
 * Writes measured figures to every place that shows them: `npm run figures`. With `--check` it writes nothing and
 * fails where a place is out of date.
 *
 * Accuracy and time of presets stand in results/presets.json and go to docs/presets.md, the README and the headers
 * of presets/. The runs in results/runs.csv make docs/budget.svg, and those in results/ablations.csv the tables of
 * docs/ablation.md and what the plugins' cards say of their effect.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Figures, figures, machine as usualMachine } from "../presets/figures.js";
import ablations from "../results/ablations.json" with { type: "json" };
import peers from "../results/peers.json" with { type: "json" };
import { type About, ablationTable, armsIn, effectsIn } from "./ablations.js";
import { budgetChart, type Peer, pointsOf } from "./budget-chart.js";
import { ablationColumns, runColumns } from "./results.js";
import { markdownTable, parseRows } from "./tables.js";

type Accuracy = NonNullable<Figures["top1"]>;

/** Preset name -> figures. */
const presets: Readonly<Record<string, Figures>> = figures;

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const seedsOf = ({ seeds }: Accuracy): string =>
  seeds.length === 1 ? `seed ${seeds[0]}` : `seeds ${seeds[0]} to ${seeds.at(-1)}`;
const accuracy = ({ mean, deviation, seeds }: Accuracy): string =>
  seeds.length === 1 ? `${mean.toFixed(1)} %` : `${mean.toFixed(1)} ± ${deviation.toFixed(1)} %`;

/** The sentence in a preset's header. */
export function reached({
  top1,
  test = "the test set",
  command,
  time,
  date,
  estimate,
  machine = usualMachine,
}: Figures): string {
  if (top1) {
    const how = `${seedsOf(top1)}${command ? `, \`${command}\`` : ""}`;
    return `Reached: ${accuracy(top1)} top-1 on ${test} (${how}), ${time} on ${machine}, ${date}.`;
  }
  return `Reached: not yet measured${estimate ? `; ${estimate} on ${machine}` : ""}.`;
}

/** A table of presets: every one, or those that have been measured. */
export function presetTable(shown = Object.entries(presets)): string {
  const rows = shown.map(([name, preset]) => [
    `\`${name}\``,
    preset.task,
    preset.top1 ? `${accuracy(preset.top1)} (${seedsOf(preset.top1)})` : "not yet measured",
    [preset.time ?? preset.estimate ?? "", ...(preset.machine ? [preset.machine] : [])].join(", "),
  ]);
  return markdownTable(["preset", "task", "test top-1", "time"], rows);
}

const ablationRows = parseRows(read("results/ablations.csv"), ablationColumns);
const measured = Object.entries(ablations.measured as Readonly<Record<string, About>>).map(([name, about]) => {
  const rows = ablationRows.filter(({ ablation }) => ablation === name);
  return { name, about, arms: armsIn(rows, about) };
});

/** Plugin -> the effects as its card says them, an ablation after the other. */
export function effects(): Map<string, string> {
  const found = new Map<string, string[]>();
  const all = [
    ...measured.flatMap(({ about, arms }) => [...effectsIn(arms, about)]),
    ...Object.entries(ablations.earlier),
  ];
  for (const [plugin, effect] of all) found.set(plugin, [...(found.get(plugin) ?? []), effect]);
  return new Map(
    [...found].map(([plugin, each]) => [plugin, `${each.join(" ")} See [docs/ablation.md](../../docs/ablation.md).`]),
  );
}

function wrap(text: string, width: number, prefix: string): string {
  const lines = [prefix];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== prefix && line.length + 1 + word.length > width) lines.push(prefix + word);
    else lines[lines.length - 1] = line === prefix ? prefix + word : `${line} ${word}`;
  }
  return lines.join("\n");
}

/** File -> its text with the figures in place. */
export function updated(): Map<string, string> {
  const files = new Map<string, string>();
  const replace = (file: string, pattern: RegExp, text: string): void => {
    const before = files.get(file) ?? read(file);
    if (!pattern.test(before)) throw new Error(`${file} has no place for a figure: ${pattern}`);
    files.set(
      file,
      before.replace(pattern, () => text),
    );
  };
  const place = /(?<=<!-- presets -->\n)[^]*?(?=\n<!-- end -->)/;
  replace("docs/presets.md", place, presetTable());
  replace("README.md", place, presetTable(Object.entries(presets).filter(([, { top1 }]) => top1)));
  for (const { name, about, arms } of measured) {
    const table = new RegExp(`(?<=<!-- ablation ${name} -->\\n)[^]*?(?=\\n<!-- end -->)`);
    replace("docs/ablation.md", table, ablationTable(arms, about));
  }
  for (const [name, preset] of Object.entries(presets)) {
    replace(`presets/${name}.ts`, /^ \* Reached: [^]*?(?=\n \*(?:\/|\n))/m, wrap(reached(preset), 120, " * "));
  }
  files.set("docs/budget.svg", budgetChart(pointsOf(parseRows(read("results/runs.csv"), runColumns)), peers as Peer[]));
  const known = effects();
  for (const name of readdirSync(join(root, "plugins"))) {
    const card = `plugins/${name}/README.md`;
    if (!existsSync(join(root, card)) || !(known.has(name) || /\*\*Measured effect\.\*\* [−+]/.test(read(card))))
      continue;
    const text = `**Measured effect.** ${known.get(name) ?? "Not yet measured."}`;
    replace(card, /^\*\*Measured effect\.\*\* [^]*?(?=\n\n)/m, wrap(text, 120, ""));
  }
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const stale = [...updated()].filter(([file, text]) => !existsSync(join(root, file)) || read(file) !== text);
  const check = process.argv.includes("--check");
  for (const [file, text] of stale) {
    if (!check) writeFileSync(join(root, file), text);
    console.log(`${file} ${check ? "is out of date: run npm run figures" : "updated"}`);
  }
  if (check && stale.length > 0) process.exitCode = 1;
}
