const config = await (await fetch("/console/config")).json();
document.title = config.title;
