/** Ablations of results/ablations.csv as tables, and as what one plugin brings. */
import { type ArmFigures, baseline, comparedArms, points, verdictOf } from "../cli/ablate.js";
import { counted } from "../core/format.js";
import { deviation, mean } from "../core/statistics.js";
import type { AblationRow } from "./results.js";
import { markdownTable } from "./tables.js";

/** What results/ablations.json says of an ablation. */
export interface About {
  /** `cifar100-fast`, 13 epochs: how a plugin's card names it. */
  readonly on: string;
  readonly command: string;
  /** Arm -> its name in the table, and the plugin that it adds, where its folder's name does not say so. */
  readonly arms?: Readonly<Record<string, { readonly title: string; readonly plugin?: string }>>;
}

interface Arm extends ArmFigures {
  readonly title: string;
}

/** The arms of one ablation, over the seeds that all of them have; the baseline first. */
export function armsIn(rows: readonly AblationRow[], { arms: about }: Pick<About, "arms"> = {}): Arm[] {
  const names = [...new Set([baseline, ...rows.map(({ arm }) => arm)])];
  const of = (name: string): AblationRow[] => rows.filter(({ arm }) => arm === name);
  const shared = of(baseline).flatMap(({ seed }) =>
    names.every((name) => of(name).some((row) => row.seed === seed)) ? [seed] : [],
  );
  if (shared.length === 0) throw new Error("An ablation has no seed that its baseline and all of its arms have.");
  return comparedArms(
    names.map((arm) => {
      const runs = shared.map((seed) => of(arm).find((row) => row.seed === seed)!);
      return {
        arm,
        title: about?.[arm]?.title ?? arm.replace(/^(with|without)-(.+)$/, "$1 `$2`"),
        top1: runs.map(({ validation_top1 }) => Number(validation_top1) / 100),
        seconds: mean(runs.map(({ seconds }) => Number(seconds))),
      };
    }),
  );
}

const signed = (share: number): string => `${share < 0 ? "−" : "+"}${points(Math.abs(share))}`;
const spread = ({ top1 }: Arm): string =>
  top1.length === 1 ? points(top1[0]!) : `${points(mean(top1))} ± ${points(deviation(top1))}`;
const isKnown = (margin: number | undefined): margin is number => margin !== undefined && !Number.isNaN(margin);

/** A table in Markdown, and the sentence under it. */
export function ablationTable(arms: readonly Arm[], { command }: About): string {
  const rows = arms.map((arm) => {
    const { difference, margin, title, seconds, verdict } = arm;
    const interval = isKnown(margin) ? ` ± ${points(margin)}` : "";
    const change = difference === undefined ? "" : `${signed(difference)}${interval}`;
    return [title, spread(arm), change, verdict, (seconds / 60).toFixed(1)];
  });
  const [{ top1 }] = arms as [Arm];
  const table = markdownTable(["arm", "validation top-1, %", "difference, points", "", "minutes"], rows);
  const others = counted(arms.length - 1, "arm");
  const intervals =
    top1.length === 1
      ? "One seed: no interval, and a difference of a point is within what another seed gives."
      : `Mean ± deviation over ${top1.length} seeds; the intervals hold at 95 % for all ${others} at once.`;
  return `${table}\n\n${intervals} Repeat it with \`${command}\`.`;
}

/** Plugin -> what it brings, as its card says it: the difference of an arm that adds or leaves out this plugin alone. */
export function effectsIn(arms: readonly Arm[], { on, arms: about }: About): Map<string, string> {
  return new Map(
    arms.flatMap(({ arm, difference, margin, top1 }): [string, string][] => {
      const [, word, named] = /^(with|without)-([a-z0-9-]+)$/.exec(arm) ?? [];
      const plugin = about?.[arm]?.plugin ?? named;
      if (plugin === undefined || difference === undefined) return [];
      const gain = word === "without" ? -difference : difference;
      const sure = isKnown(margin)
        ? `${signed(gain)} ± ${points(margin)} points of top-1 (95 % interval) on ${on}: ${verdictOf({ difference: gain, margin })}`
        : `${signed(gain)} points of top-1 on ${on}, ${counted(top1.length, "seed")}, so without an interval`;
      return [[plugin, `${sure}.`]];
    }),
  );
}
