<dl class="totals">
    <dt>Goods</dt><dd><?= e(money($totals['subtotal'])) ?></dd>
    <dt>Delivery</dt><dd><?= $totals['shipping'] === 0 ? 'free' : e(money($totals['shipping'])) ?></dd>
    <dt class="sum">Total</dt><dd class="sum"><?= e(money($totals['total'])) ?></dd>
</dl>
