<?php

declare(strict_types=1);

namespace Harbour;

/** Draws public/images/products/*.svg from art/*.svg and the two colours each product has in data/catalogue.json. */
final class Pictures
{
    private const PAPER = [0xEF, 0xE8, 0xDC];

    public static function drawAll(): int
    {
        $catalogue = json_decode((string) file_get_contents(STORE_ROOT . '/data/catalogue.json'), true, 16, JSON_THROW_ON_ERROR);
        foreach ($catalogue['products'] as $product) {
            $svg = self::draw($product['picture']['art'], $product['picture']['colours']);
            file_put_contents(STORE_ROOT . "/public/images/products/{$product['slug']}.svg", $svg);
        }

        return count($catalogue['products']);
    }

    /** @param array{string, string} $colours */
    private static function draw(string $art, array $colours): string
    {
        [$a, $b] = $colours;
        $shapes = strtr((string) file_get_contents(STORE_ROOT . "/art/$art.svg"), ['{a}' => $a, '{b}' => $b]);

        return '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400">'
            . '<defs><linearGradient id="g" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="' . self::onPaper($a, 0.13) . '"/>'
            . '<stop offset="1" stop-color="' . self::onPaper($a, 0.24) . '"/></linearGradient></defs>'
            . '<rect width="400" height="400" fill="url(#g)"/><ellipse cx="200" cy="332" rx="132" ry="13" opacity=".13"/>' . "\n$shapes</svg>\n";
    }

    private static function onPaper(string $colour, float $share): string
    {
        $mixed = '#';
        foreach (sscanf($colour, '#%2x%2x%2x') as $at => $value) {
            $mixed .= sprintf('%02x', (int) round($value * $share + self::PAPER[$at] * (1 - $share)));
        }

        return $mixed;
    }
}
