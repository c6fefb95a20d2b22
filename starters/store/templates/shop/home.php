<section class="hero">
    <div>
        <p class="over">Small roastery, pier 4</p>
        <h1>Coffee for slow mornings</h1>
        <p class="lead">We roast on weekdays, in small batches, next to the water. Beans, brewers and cups that we use ourselves.</p>
        <p class="actions"><a class="button" href="/c/coffee">See the coffees</a> <a class="button plain" href="/p/tasting-box">Start with the tasting box</a></p>
    </div>
    <svg class="scene" viewBox="0 0 560 420" role="img" aria-label="A lighthouse by the sea at sunrise">
        <rect width="560" height="420" class="sky"/>
        <circle cx="400" cy="196" r="66" class="sun"/><circle cx="400" cy="196" r="96" class="sun" opacity=".25"/>
        <path d="M44 132q14-12 28 0 14-12 28 0M70 168q10-8 20 0 10-8 20 0M462 66q14-12 28 0 14-12 28 0" class="gull"/>
        <path d="M0 250q90-34 190-10t190-6 180-8v194H0z" class="hill"/>
        <path d="M118 300l18-176h40l18 176z" class="tower"/><path d="M132 166h48l4 36h-56zM125 236h62l4 36h-70z" class="band"/>
        <rect x="126" y="116" width="60" height="10" rx="3" class="band"/><rect x="138" y="88" width="36" height="30" rx="3" class="lamp"/><path d="M132 88h48l-24-24z" class="band"/>
        <linearGradient id="beam" class="beam"><stop offset="0" stop-opacity=".75"/><stop offset="1" stop-opacity="0"/></linearGradient><path d="M174 100l250-62v100z" fill="url(#beam)"/>
        <path d="M70 330q10-34 44-38 46-14 80 0 40 4 48 38z" class="rock"/>
        <path d="M0 306q80-26 150-6t150-4 130 0 130-8v132H0z" class="sea1"/>
        <path d="M372 318h104l-18 28h-70z" class="tower"/><path d="M422 314v-72l46 66zM416 314v-60l-38 54z" class="sail"/>
        <path d="M0 346q46-18 94 0t94 0 94 0 94 0 94 0 90 0v74H0z" class="sea2"/>
        <path d="M0 380q46-14 94 0t94 0 94 0 94 0 94 0 90 0v40H0z" class="sea3"/>
    </svg>
</section>

<section>
    <div class="head"><h2>Favourites at the counter</h2><a href="/c/coffee">All coffees</a></div>
    <?= Harbour\View::bare('shop/cards', ['products' => $featured]) ?>
</section>

<section>
    <div class="head"><h2>Along the shelves</h2></div>
    <ul class="tiles">
        <?php foreach ($shelves as $shelf): ?>
            <li><a href="/c/<?= e($shelf['slug']) ?>"><strong><?= e($shelf['name']) ?></strong><span class="soft"><?= e($shelf['intro']) ?></span><span class="small"><?= e($shelf['products']) ?> products</span></a></li>
        <?php endforeach ?>
    </ul>
</section>
