"use strict";
(function () {
  var data = JSON.parse(document.getElementById("data").textContent);
  var byValue = {}, shown = [], current = 0;
  var large = at("large");
  data.classes.forEach(function (entry) { byValue[entry[0]] = entry; });

  function at(id) { return document.getElementById(id); }

  // Text from the data set becomes text nodes only, never markup.
  function make(kind, classes, text) {
    var node = document.createElement(kind);
    if (classes) node.className = classes;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function option(select, value, text) {
    var node = make("option", "", text);
    node.value = value;
    select.appendChild(node);
  }

  function picture(source, classes, text) {
    var node = make("img", classes);
    node.src = source;
    node.alt = text;
    node.loading = "lazy";
    node.decoding = "async";
    return node;
  }

  // Show one record in a view; without that picture show its image, or else its mask.
  function fill(stack, card, view) {
    stack.textContent = "";
    stack.className = "stack";
    if (card.extras[view]) {
      stack.classList.add("extra");
      stack.appendChild(picture(card.extras[view], "", view + " of " + card.key));
    } else if (card.mask && (view === "mask" || (view === "overlay" && !card.image))) {
      stack.classList.add("mask-only");
      stack.appendChild(picture(card.mask, "mask", "mask of " + card.key));
    } else {
      if (card.image) stack.appendChild(picture(card.image, "image", card.key));
      else stack.appendChild(make("p", "", "no picture"));
      if (view === "overlay" && card.mask) {
        stack.classList.add("overlay");
        stack.appendChild(picture(card.mask, "mask", ""));
      }
    }
  }

  function chip(kind, entry, text) {
    var node = make(kind), patch = make("i", "swatch");
    patch.style.background = entry[2];
    node.appendChild(patch);
    node.appendChild(document.createTextNode(text));
    return node;
  }

  function draw() {
    var split = at("split").value, wanted = at("class").value, grid = at("cards");
    shown = data.cards.filter(function (card) {
      return (!split || card.split === split) && (!wanted || card.classes.some(function (pair) {
        return String(pair[0]) === wanted;
      }));
    });
    if (at("order").value === "rare") {
      shown.sort(function (a, b) { return rarity(a) - rarity(b); });
    }
    grid.textContent = "";
    shown.forEach(function (card, i) {
      var button = make("button", "card"), stack = make("span", "stack");
      var name = card.key || card.file + " " + card.record;
      button.type = "button";
      button.title = [name].concat(card.problems).join("\n");
      button.dataset.at = i;
      fill(stack, card, at("view").value);
      button.appendChild(stack);
      button.appendChild(make("span", "name", name));
      card.problems.slice(0, 3).forEach(function (text) {
        button.appendChild(make("span", "why bad", text));
      });
      button.addEventListener("click", function () { open(i); });
      grid.appendChild(button);
    });
    at("count").textContent = shown.length + " of " + data.cards.length;
    Array.prototype.forEach.call(at("legend").children, function (node) {
      if (node.dataset.value) node.setAttribute("aria-pressed", String(node.dataset.value === wanted));
    });
  }

  // How many records have the rarest class of a record.
  function rarity(card) {
    return Math.min.apply(null, card.classes.map(function (pair) {
      return (byValue[pair[0]] || [0, "", "", 0])[3];
    }).concat(Infinity));
  }

  // Where a record is in the address: its file and number.
  function anchor(card) {
    return "#record=" + encodeURIComponent(card.file + ":" + card.record);
  }

  function follow() {
    var wanted = data.cards.filter(function (card) { return anchor(card) === location.hash; })[0];
    if (!wanted) return;
    if (shown.indexOf(wanted) < 0) {
      at("split").value = at("class").value = "";
      draw();
    }
    open(shown.indexOf(wanted));
  }

  function link(target, text) {
    var node = make("a", "", text);
    node.href = target;
    return node;
  }

  // Name the class under the pointer, by the colour of its mask there.
  var tip = make("div"), pixels = new Map();
  tip.id = "tip";
  tip.hidden = true;

  function masked(card) {
    if (pixels.has(card)) return pixels.get(card);
    var image = new Image();
    pixels.set(card, null);
    image.onload = function () {
      var canvas = make("canvas"), pen;
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.drawImage(image, 0, 0);
      if (pixels.size > 8) pixels.clear();
      pixels.set(card, pen.getImageData(0, 0, canvas.width, canvas.height));
    };
    image.src = card.mask;
    return null;
  }

  function named(card, mask, box, x, y) {
    var scale = Math.min(box.width / mask.width, box.height / mask.height);
    var column = Math.floor((x - box.left - (box.width - mask.width * scale) / 2) / scale);
    var row = Math.floor((y - box.top - (box.height - mask.height * scale) / 2) / scale);
    if (column < 0 || row < 0 || column >= mask.width || row >= mask.height) return "";
    var start = 4 * (row * mask.width + column), rgb = mask.data.slice(start, start + 3);
    var colour = "#" + Array.prototype.map.call(rgb, function (channel) {
      return (channel < 16 ? "0" : "") + channel.toString(16);
    }).join("");
    return card.classes.map(function (pair) {
      return byValue[pair[0]] || [pair[0], String(pair[0]), "#808080"];
    }).filter(function (entry) { return entry[2] === colour; }).map(function (entry) {
      return entry[1];
    }).join(" or ");
  }

  function point(event) {
    var stack = event.target.closest ? event.target.closest(".stack") : null;
    var button = stack && stack.closest(".card"), card, mask, text = "";
    if (stack) card = shown[button ? Number(button.dataset.at) : current];
    if (card && card.mask) mask = masked(card);
    if (mask) text = named(card, mask, stack.getBoundingClientRect(), event.clientX, event.clientY);
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    (large.open ? large : document.body).appendChild(tip);
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4) + "px";
    tip.style.top = Math.max(event.clientY - 30, 4) + "px";
  }

  function views(cards) {
    var names = [];
    if (cards.some(function (card) { return card.mask; })) names.push("overlay");
    names.push("image");
    if (names.length > 1) names.push("mask");
    cards.forEach(function (card) {
      Object.keys(card.extras).forEach(function (name) {
        if (names.indexOf(name) < 0) names.push(name);
      });
    });
    return names;
  }

  function setView(view) {
    at("view").value = view;
    draw();
    if (large.open) show();
  }

  function setMix(value) {
    document.documentElement.style.setProperty("--mix", value / 100);
    Array.prototype.forEach.call(document.querySelectorAll("input[type=range]"), function (node) {
      node.value = value;
    });
  }

  function slider() {
    var label = make("label", "", "Mask "), input = make("input");
    input.type = "range";
    input.min = 0;
    input.max = 100;
    input.value = at("mix").value;
    input.addEventListener("input", function () { setMix(input.value); });
    label.appendChild(input);
    return label;
  }

  function open(i) {
    current = i;
    if (!large.open) large.showModal();
    show();
  }

  function step(by) {
    if (shown.length) open((current + by + shown.length) % shown.length);
  }

  function show() {
    var card = shown[current], view = at("view").value, tools = at("large-tools");
    var move = make("span", "push"), whole = 0;
    at("large-key").textContent = card.key || "record " + card.record;
    fill(at("large-stack"), card, view);
    tools.textContent = "";
    views([card]).forEach(function (name) {
      var button = make("button", "", name);
      button.type = "button";
      button.setAttribute("aria-pressed", String(name === view));
      button.addEventListener("click", function () { setView(name); });
      tools.appendChild(button);
    });
    if (card.mask && view === "overlay") tools.appendChild(slider());
    [["←", -1, "previous"], ["→", 1, "next"]].forEach(function (entry) {
      var button = make("button", "", entry[0]);
      button.type = "button";
      button.setAttribute("aria-label", entry[2]);
      button.addEventListener("click", function () { step(entry[1]); });
      move.appendChild(button);
    });
    tools.appendChild(move);
    var text = at("large-text");
    text.textContent = (current + 1) + " of " + shown.length + " · " + card.split + " · ";
    text.appendChild(data.shards[card.file]
      ? link("#" + data.shards[card.file], card.file) : document.createTextNode(card.file));
    text.appendChild(document.createTextNode(", "));
    text.appendChild(link(anchor(card), "record " + card.record));
    if (card.size[0]) text.appendChild(document.createTextNode(" · " + card.size.join(" × ")));
    at("large-why").textContent = card.problems.join("\n");
    card.classes.forEach(function (pair) { whole += pair[1]; });
    at("large-classes").textContent = "";
    card.classes.slice().sort(function (a, b) { return b[1] - a[1]; }).forEach(function (pair) {
      var entry = byValue[pair[0]] || [pair[0], String(pair[0]), "#808080"];
      var part = 100 * pair[1] / whole;
      var text = card.mask ? " " + (part < 0.1 ? "<0.1" : part.toFixed(1)) + " %" : "";
      at("large-classes").appendChild(chip("span", entry, entry[1] + text));
    });
  }

  data.splits.forEach(function (split) { option(at("split"), split, split); });
  // Entries of the legend are also buttons that filter by their class.
  function explain(entry) {
    var button = chip("button", entry, entry[1]);
    button.type = "button";
    button.dataset.value = String(entry[0]);
    button.addEventListener("click", function () {
      at("class").value = at("class").value === button.dataset.value ? "" : button.dataset.value;
      draw();
    });
    button.setAttribute("aria-pressed", String(button.dataset.value === at("class").value));
    at("legend").appendChild(button);
  }

  // Move the focus between cards: by one, by a row, or to the first or last.
  function walk(event) {
    var cards = at("cards").children, i = Array.prototype.indexOf.call(cards, event.target);
    var columns = 1;
    if (i < 0 || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    while (columns < cards.length && cards[columns].offsetTop === cards[0].offsetTop) columns += 1;
    var next = { ArrowLeft: i - 1, ArrowRight: i + 1, ArrowUp: i - columns,
      ArrowDown: i + columns, Home: 0, End: cards.length - 1 }[event.key];
    if (next === undefined || !cards[next]) return;
    event.preventDefault();
    cards[next].focus();
  }

  var few = data.classes.length > 60 ? 24 : data.classes.length;
  data.classes.forEach(function (entry, i) {
    option(at("class"), String(entry[0]), entry[1]);
    if (i < few) explain(entry);
  });
  if (few < data.classes.length) {
    var more = make("button", "", (data.classes.length - few).toLocaleString("en") + " more classes");
    more.type = "button";
    more.addEventListener("click", function () {
      more.remove();
      data.classes.slice(few).forEach(explain);
      at("legend").children[few].focus();
    });
    at("legend").appendChild(more);
  }
  views(data.cards).forEach(function (view) { option(at("view"), view, view); });
  if (!data.cards.some(function (card) { return card.mask; })) at("mix-label").remove();
  else at("mix").addEventListener("input", function () { setMix(at("mix").value); });
  at("split").addEventListener("change", draw);
  at("class").addEventListener("change", draw);
  at("view").addEventListener("change", draw);
  at("order").addEventListener("change", draw);
  at("cards").addEventListener("keydown", walk);
  document.addEventListener("pointermove", point);
  at("large-text").addEventListener("click", function (event) {
    var row = event.target.hash && document.getElementById(event.target.hash.slice(1));
    if (!row) return;
    for (var node = row; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    large.close();
    row.scrollIntoView({ block: "center" });
  });
  window.addEventListener("hashchange", follow);
  // On the document, since redrawing a button takes the focus out of the dialog.
  document.addEventListener("keydown", function (event) {
    if (!large.open) return;
    if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      open(event.key === "Home" ? 0 : shown.length - 1);
    }
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      step(event.key === "ArrowLeft" ? -1 : 1);
    }
  });
  large.addEventListener("click", function (event) { if (event.target === large) large.close(); });
  large.addEventListener("close", function () {
    var cards = at("cards").children;
    if (cards[current]) cards[current].focus();
  });
  draw();
  follow();
}());
