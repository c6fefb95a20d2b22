<?php

declare(strict_types=1);

namespace Harbour;

/** Thrown with the name of the product of which too few are left. */
final class SoldOut extends \RuntimeException
{
}
