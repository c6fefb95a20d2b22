// Without this the poll is a form; with it, it moves by itself.
const form = document.querySelector("#poll");

if (form) {
  const state = document.querySelector("#state");
  const show = ({ counts, total }) => {
    document.querySelector("#total").textContent = total;
    for (const option of form.querySelectorAll(".option")) {
      const count = counts[option.value] ?? 0;
      const share = total === 0 ? 0 : Math.round((count / total) * 100);
      option.querySelector(".bar").style.width = `${share}%`;
      option.querySelector("b").textContent = count;
      option.querySelector(".count .soft").textContent = `${share} %`;
    }
  };

  const events = new EventSource("/events");
  events.addEventListener("open", () => (state.textContent = ""));
  events.addEventListener("error", () => (state.textContent = "· reconnecting"));
  events.addEventListener("results", (event) => show(JSON.parse(event.data)));
  events.addEventListener("present", (event) => {
    const { count } = JSON.parse(event.data);
    document.querySelector("#present").textContent = count === 1 ? "only you are here" : `${count} people are here`;
  });
  events.addEventListener("reaction", (event) => float(JSON.parse(event.data).reaction));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch("/vote", { method: "POST", body: new URLSearchParams({ option: event.submitter.value }) }).catch(() => null);
    if (!answer?.ok) {
      state.textContent = "· your vote did not arrive, please try again";
      return;
    }
    state.textContent = "";
    form.querySelectorAll(".option").forEach((option) => option.setAttribute("aria-pressed", String(option === event.submitter)));
  });

  const bar = document.querySelector("#reactions");
  let socket;
  let wait = 500;
  const connect = () => {
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    socket.addEventListener("open", () => {
      bar.hidden = false;
      wait = 500;
    });
    socket.addEventListener("close", () => {
      bar.hidden = true;
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, 10_000);
    });
  };
  connect();
  bar.addEventListener("click", (event) => event.target.value && socket.send(event.target.value));
}

function float(reaction) {
  const sign = document.createElement("span");
  sign.className = "floating";
  sign.textContent = reaction;
  sign.style.left = `${20 + Math.random() * 60}%`;
  sign.setAttribute("aria-hidden", "true");
  document.body.append(sign);
  setTimeout(() => sign.remove(), 2500);
}
