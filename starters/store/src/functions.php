<?php

declare(strict_types=1);

/** Escapes for HTML text and quoted attributes. Every value in a template goes through here. */
function e(mixed $value): string
{
    return htmlspecialchars((string) $value, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

function money(int $cents): string
{
    return '€' . number_format($cents / 100, 2);
}

/** "14 March 2026", from what the database returns (UTC). */
function day(?string $moment, string $format = 'j F Y'): string
{
    return $moment === null ? '–' : (new DateTimeImmutable($moment))->format($format);
}

function picture(string $image): string
{
    return e(str_starts_with($image, 'uploads/') ? '/' . $image : '/images/products/' . $image);
}

/** @return array<string, string> where the shop delivers to */
function countries(): array
{
    return ['DE' => 'Germany', 'FR' => 'France', 'IT' => 'Italy', 'NL' => 'Netherlands', 'ES' => 'Spain', 'GB' => 'United Kingdom'];
}

function country(string $code): string
{
    return countries()[$code] ?? $code;
}

/** The current address with some query values changed: for pages and orders of a list. */
function link_with(array $changes): string
{
    return '?' . http_build_query(array_filter([...$_GET, ...$changes], static fn (mixed $v): bool => is_scalar($v) && $v !== ''));
}
