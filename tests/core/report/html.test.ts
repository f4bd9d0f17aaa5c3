/** A page that carries all it needs, may do nothing else, and lets no name out of the element that holds it. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { pageHtml } from "../../../core/report/html.js";

describe("the HTML", () => {
  it("allows the scripts and styles that it has, and nothing else", () => {
    const html = pageHtml({ title: "t", summary: "s", blocks: [] });
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html)![1]!;
    expect(policy).toMatch(/^default-src 'none';/);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    const hashes = (element: string): string[] =>
      [...html.matchAll(new RegExp(`<${element}>([^]*?)</${element}>`, "g"))].map(([, text]) => createHash("sha256").update(text!).digest("base64"));
    for (const element of ["script", "style"]) {
      expect(hashes(element)).toHaveLength(2);
      for (const hash of hashes(element)) expect(policy).toContain(`'sha256-${hash}'`);
    }
    expect(readFileSync(new URL("../../../core/report/page.js", import.meta.url), "utf8")).not.toMatch(/innerHTML|outerHTML|insertAdjacent|document\.write|eval\(/);
  });

  it("keeps names from ending the element that holds them", () => {
    const name = "</script><script>alert(1)</script><!-- \u2028";
    const html = pageHtml({ title: name, summary: name, blocks: [{ kind: "text", title: name, text: name }] });
    expect(html.match(/<script/g)).toHaveLength(3);
    expect(html).not.toContain("<!--");
    const json = /id="data">(.*)<\/script>/.exec(html)![1]!;
    expect(JSON.parse(json).title).toBe(name);
  });
});
