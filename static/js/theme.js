// Before the first paint: scripts are here, so what needs them may be shown.
document.documentElement.classList.add("js");
