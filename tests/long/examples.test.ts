/** Each example as its reader uses it: copied into an empty folder, then the commands of its README, word for word. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../support/chromium.js";
import { complaintsIn, pack, runShell, writePhotos } from "../support/packed.js";

const examples = join(import.meta.dirname, "../../examples");
const base = mkdtempSync(join(tmpdir(), "fitloop-examples-"));
let tarball: string;
beforeAll(async () => void (tarball = await pack(join(base, "packed"))));
afterAll(() => rmSync(base, { recursive: true, force: true }));

test.each(readdirSync(examples))("the commands of examples/%s/README.md work in this order", async (name) => {
  const folder = join(base, name);
  cpSync(join(examples, name), folder, { recursive: true });
  await writePhotos(folder);
  const file = join(folder, "package.json");
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  expect(manifest.dependencies).toHaveProperty("fitloop");
  manifest.dependencies.fitloop = `file:${tarball}`;
  writeFileSync(file, JSON.stringify(manifest));

  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const commands = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);
  expect(commands.length).toBeGreaterThan(0);
  const { code, output } = await runShell(commands.join("\n"), folder);
  expect(code, output).toBe(0);
  expect(complaintsIn(output)).toEqual([]);
  if (name === "browser") await expectAnswers(join(folder, "site"), join(folder, "cat.jpg"));
});

/** The page of a folder names three classes for an image, and asks no other server for anything. */
async function expectAnswers(site: string, image: string): Promise<void> {
  const types: Record<string, string> = { html: "text/html", js: "text/javascript", json: "application/json" };
  const server = createServer(({ url = "/" }, answer) => {
    const file = join(site, url === "/" ? "index.html" : url);
    if (!existsSync(file)) return answer.writeHead(404).end();
    answer.setHeader("content-type", types[file.split(".").at(-1)!] ?? "application/octet-stream");
    answer.end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const browser = await launchChromium();
  try {
    const tab = await browser.newPage();
    const elsewhere: string[] = [];
    tab.on("request", (request) => {
      if (!request.url().startsWith(origin) && !/^(data|blob):/.test(request.url())) elsewhere.push(request.url());
    });
    await tab.goto(origin);
    await tab.waitForSelector("#file:enabled");
    await tab.setInputFiles("#file", image);
    await tab.waitForSelector("#answers li");
    const answers = await tab.$$eval("#answers li", (rows) => rows.map((row) => row.textContent));
    expect(answers).toHaveLength(3);
    for (const answer of answers) expect(answer).toMatch(/^[a-z]+: \d+\.\d %$/);
    expect(elsewhere).toEqual([]);
  } finally {
    await browser.close();
    server.close();
  }
}
