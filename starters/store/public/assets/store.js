// The shop works without this: it only saves a click on forms that can send themselves.
for (const form of document.querySelectorAll("form[data-auto]")) {
    form.classList.add("auto");
    form.addEventListener("change", () => form.requestSubmit());
}

// A card number belongs to card payments only.
const card = document.querySelector(".field-card_number");
if (card) {
    const show = () => {
        card.hidden = document.querySelector("[name=payment_method]:checked")?.value !== "card";
    };
    document.addEventListener("change", show);
    show();
}
