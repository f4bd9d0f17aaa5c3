import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { openRun } from "fitloop";

const run = await openRun(process.argv[2] ?? "runs/cats-1");
const server = createServer(async (request, response) => {
  const answer = (status, body) => response.writeHead(status).end(JSON.stringify(body));
  if (request.method !== "POST") return answer(405, { error: "Send an image by POST." });
  if (request.headers["content-type"]?.startsWith("multipart/")) {
    return answer(415, { error: "Send the raw file, not multipart: curl --data-binary @cat.jpg" });
  }
  if (!(Number(request.headers["content-length"]) < 20e6)) return answer(413, { error: "Send an image below 20 MB." });
  await buffer(request)
    .then((image) => run.predict(image, { top: 3 }))
    .then((classes) => answer(200, classes))
    .catch((error) => answer(error.code === "ERR_DATA" ? 400 : 500, { error: error.message }));
});
server.listen(process.env.PORT ?? 8080, () => console.log(`http://localhost:${server.address().port}`));
