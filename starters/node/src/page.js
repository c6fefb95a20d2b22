import { OPTIONS, QUESTION, REACTIONS } from "./poll.js";

const escape = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const share = (count, total) => (total === 0 ? 0 : Math.round((count / total) * 100));

function frame(title, ribbon, body) {
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${escape(title)} · Show of hands</title>
  <link rel="icon" href="/static/mark.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/poll.css">
  <script type="module" src="/static/poll.js"></script>
</head>
<body>
<header><a class="brand" href="/"><img src="/static/mark.svg" alt="" width="28" height="28"> Show of hands</a>
${ribbon ? `<span class="ribbon" title="This is not the live site">${escape(ribbon)}</span>` : ""}</header>
<main>${body}</main>
</body>
</html>
`;
}

/** The whole poll; works without scripts, which only keep it moving. */
export function pollPage({ counts, total, choice, ribbon }) {
  const rows = Object.entries(OPTIONS).map(
    ([key, label]) => `
    <button name="option" value="${escape(key)}" class="option" aria-pressed="${key === choice}">
      <span class="bar" style="width:${share(counts[key], total)}%"></span>
      <span class="label">${escape(label)}</span><span class="count"><b>${counts[key]}</b> <span class="soft">${share(counts[key], total)} %</span></span>
    </button>`,
  );
  return frame(
    "Poll",
    ribbon,
    `<h1>${escape(QUESTION)}</h1>
  <p class="soft"><span id="total">${total}</span> votes · <span id="present">you</span> <span id="state" role="status"></span></p>
  <form id="poll" method="post" action="/vote">${rows.join("")}
  </form>
  <div id="reactions" hidden>${REACTIONS.map((sign) => `<button type="button" class="reaction" value="${sign}" aria-label="Send ${sign}">${sign}</button>`).join("")}
    <span class="soft">Everyone here sees it.</span></div>
  <p class="soft small">One vote per browser. Choose another answer at any time.</p>`,
  );
}

export function problemPage({ title, text, ribbon }) {
  return frame(title, ribbon, `<h1>${escape(title)}</h1><p class="soft">${escape(text)}</p><p><a href="/">To the poll</a></p>`);
}
