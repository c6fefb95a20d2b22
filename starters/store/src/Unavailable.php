<?php

declare(strict_types=1);

namespace Harbour;

/** Something outside the code is missing or does not answer: the visitor gets a 503 that says so. */
final class Unavailable extends \RuntimeException
{
}
