<?php

declare(strict_types=1);

namespace Harbour;

use Random\Engine\Xoshiro256StarStar;
use Random\Randomizer;

/**
 * Invented people, realistic in every column. Person N is a pure function of seed and N: nobody has to be kept in
 * memory to be met again in an order. Name and e-mail depend on N alone, so that people of different seeds never share
 * an e-mail. Domains and network addresses are from the ranges reserved for examples.
 */
final class People
{
    private const DOMAINS = ['example.com', 'example.org', 'example.net', 'post.example', 'mail.example', 'fastmail.example', 'home.example', 'office.example'];
    private const COMPANIES = ['Studio Nord', 'Baker & Sons', 'Atelier Lumière', 'Hansa Logistik', 'Polder Design', 'Casa Verde', 'Tideline Books', 'Kontor 7'];
    private const SOURCES = ['search', 'friend', 'newsletter', 'instagram', 'market stall', 'podcast'];
    private const GRINDS = ['whole beans', 'espresso', 'moka', 'filter', 'french press'];

    /** Prime to the number of names, so that walking the names by it meets each once before any twice. */
    private const STRIDE = 7919;

    /** @var array<string, array<string, mixed>> */
    private array $places;
    /** @var list<array{string, string, string}> country, first name, last name */
    private array $names = [];

    public function __construct(private readonly int $seed)
    {
        $this->places = json_decode((string) file_get_contents(STORE_ROOT . '/data/people.json'), true, 8, JSON_THROW_ON_ERROR);
        foreach ($this->places as $country => $place) {
            foreach ($place['first'] as $first) {
                foreach ($place['last'] as $last) {
                    $this->names[] = [$country, $first, $last];
                }
            }
        }
    }

    public function random(string $purpose, int $index): Randomizer
    {
        return new Randomizer(new Xoshiro256StarStar(hash('sha256', "$this->seed/$purpose/$index", true)));
    }

    /** @return array<string, string> first, last, email, country, street, postcode, city, phone, ip */
    public function person(int $index): array
    {
        $random = $this->random('person', $index);
        $count = count($this->names);
        [$country, $first, $last] = $this->names[$index * self::STRIDE % $count];
        $place = $this->places[$country];
        [$postcode, $city] = self::split($this->pick($random, $place['cities']));

        return [
            'first' => $first,
            'last' => $last,
            'email' => self::email($first, $last, intdiv($index, $count)),
            'country' => $country,
            'street' => strtr($place['street'], ['{street}' => $this->pick($random, $place['streets']), '{number}' => (string) $random->getInt(1, 148)]),
            'postcode' => $postcode,
            'city' => $city,
            'phone' => self::fill($random, $place['phone']),
            'ip' => $this->ip($random),
        ];
    }

    /**
     * What only an account has.
     *
     * @param array<string, string> $person
     * @return array<string, string> birth_date, iban, profile (JSON), preferences (PHP serialized)
     */
    public function details(int $index, array $person): array
    {
        $random = $this->random('details', $index);
        $place = $this->places[$person['country']];
        $profile = ['language' => $place['language'], 'source' => $this->pick($random, self::SOURCES), 'household' => $random->getInt(1, 5)];
        if ($random->getInt(1, 100) <= 30) {
            $profile['company'] = ['name' => $this->pick($random, self::COMPANIES), 'vat_id' => $person['country'] . self::fill($random, '#########')];
        }
        if ($random->getInt(1, 100) <= 45) {
            $profile['contact'] = ['mobile' => $person['phone'], 'nickname' => mb_substr($person['first'], 0, 3) . $random->getInt(1, 99)];
        }
        $preferences = [
            'newsletter' => $random->getInt(0, 9) < 4,
            'grind' => $this->pick($random, self::GRINDS),
            'invoice_email' => $person['email'],
            'delivery' => $random->getInt(0, 3) === 0 ? 'Leave with ' . $this->pick($random, $place['first']) . ' ' . $this->pick($random, $place['last']) : 'At the door',
        ];

        return [
            'birth_date' => sprintf('%d-%02d-%02d', $random->getInt(1944, 2005), $random->getInt(1, 12), $random->getInt(1, 28)),
            'iban' => self::iban($person['country'], self::fill($random, $place['iban'])),
            'profile' => json_encode($profile, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE),
            'preferences' => serialize($preferences),
        ];
    }

    /** @param array<string, string> $person */
    public function note(Randomizer $random, array $person): ?string
    {
        $place = $this->places[$person['country']];
        $other = $this->pick($random, $place['first']) . ' ' . $this->pick($random, $place['last']);

        return match ($random->getInt(1, 40)) {
            1 => "Please ring at {$other} next door if I am out.",
            2 => "Call me before delivery: {$person['phone']}.",
            3 => "This is a present for {$other}, please leave out the invoice and send it to {$person['email']}.",
            4 => "From next month we live at {$this->pick($random, $place['streets'])} {$random->getInt(1, 90)}, {$this->pick($random, $place['cities'])}. Thanks, {$person['first']}",
            5 => 'Could you grind it for a moka pot, please?',
            6 => "The bell says {$person['last']}, second floor. The last parcel went to {$other} by mistake.",
            7 => 'No hurry at all, happy to wait for the next roast.',
            default => null,
        };
    }

    /**
     * @param list<string> $choices
     */
    public function pick(Randomizer $random, array $choices): string
    {
        return $choices[$random->getInt(0, count($choices) - 1)];
    }

    private static function email(string $first, string $last, int $round): string
    {
        static $plain = [];
        $first = $plain[$first] ??= self::plain($first);
        $last = $plain[$last] ??= self::plain($last);
        $domain = self::DOMAINS[(crc32("$first $last") + $round) % count(self::DOMAINS)];
        $pattern = intdiv($round, count(self::DOMAINS));

        return match ($pattern) {
            0 => "$first.$last",
            1 => "$last.$first",
            2 => $first . '_' . $last,
            default => "$first.$last$pattern",
        } . "@$domain";
    }

    private static function plain(string $name): string
    {
        $name = strtr(mb_strtolower($name), [
            'ä' => 'ae', 'ö' => 'oe', 'ü' => 'ue', 'ß' => 'ss', 'é' => 'e', 'è' => 'e', 'ë' => 'e', 'á' => 'a', 'í' => 'i', 'ı' => 'i',
            'ó' => 'o', 'ò' => 'o', 'ú' => 'u', 'ñ' => 'n', 'ş' => 's', 'ç' => 'c', ' ' => '', "'" => '',
        ]);

        return (string) preg_replace('/[^a-z-]/', '', $name);
    }

    /** @return array{string, string} "1015 CJ Amsterdam" and "75011 Paris" alike */
    private static function split(string $place): array
    {
        preg_match('/^([A-Z0-9]+(?: [A-Z0-9]{2,3}(?= ))?) (.+)$/uD', $place, $match);

        return [$match[1], $match[2]];
    }

    private static function fill(Randomizer $random, string $pattern): string
    {
        $digits = $random->getBytes(strlen($pattern));
        $text = $pattern;
        for ($at = strlen($pattern) - 1; $at >= 0; $at--) {
            if ($pattern[$at] === '#') {
                $text[$at] = (string) (ord($digits[$at]) % 10);
            } elseif ($pattern[$at] === '@') {
                $text[$at] = chr(65 + ord($digits[$at]) % 26);
            }
        }

        return $text;
    }

    /** With valid check digits (ISO 7064, modulo 97). */
    public static function iban(string $country, string $account): string
    {
        $digits = '';
        foreach (str_split($account . $country . '00') as $character) {
            $digits .= ctype_alpha($character) ? (string) (ord($character) - 55) : $character;
        }
        $rest = 0;
        foreach (str_split($digits, 9) as $part) {
            $rest = (int) ($rest . $part) % 97;
        }

        return sprintf('%s%02d%s', $country, 98 - $rest, $account);
    }

    private function ip(Randomizer $random): string
    {
        if ($random->getInt(1, 5) === 1) {
            return sprintf('2001:db8:%x:%x::%x', $random->getInt(1, 65535), $random->getInt(1, 65535), $random->getInt(1, 65535));
        }

        return $this->pick($random, ['192.0.2.', '198.51.100.', '203.0.113.']) . $random->getInt(1, 254);
    }
}
