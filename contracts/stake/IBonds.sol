// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @dev The identity of a bond, for contracts that ask after the bonds of others.
function bondIdOf(address party, address[] memory arbiters, uint64 delay) pure returns (bytes32) {
    return keccak256(abi.encode(party, arbiters, delay));
}

/// @title Stake of every module, in one place
/// @notice A bond belongs to a party and can be taken only by the arbiters that its money was put under. The same party may have several bonds,
/// one for each set of arbiters and delay. Nobody governs this contract. Amounts in wei, times in seconds.
interface IBonds {
    struct Bond {
        address party;
        /// Seconds between the request to unbond and the day the money can leave.
        uint64 delay;
        /// Counts as stake.
        uint128 bonded;
        /// Asked back; no longer counts as stake, and can still be taken until it left.
        uint128 unbonding;
        /// When (unix seconds) what is unbonding is due; 0 if nothing ever was.
        uint64 unbondsAt;
        /// Kept by open faults, of all arbiters together; not to leave before they are closed.
        uint128 locked;
    }

    event BondOpened(bytes32 indexed id, address indexed party, address[] arbiters, uint64 delay);
    event Bonded(bytes32 indexed id, address indexed party, address indexed payer, uint256 amount);
    event UnbondingStarted(bytes32 indexed id, uint256 amount, uint64 unbondsAt);
    event UnbondingCancelled(bytes32 indexed id, uint256 amount);
    event BondWithdrawn(bytes32 indexed id, address indexed party, address to, uint256 amount);
    event StakeLocked(bytes32 indexed id, address indexed arbiter, uint256 amount);
    event StakeUnlocked(bytes32 indexed id, address indexed arbiter, uint256 amount);
    event Slashed(bytes32 indexed id, address indexed arbiter, address indexed to, uint256 amount);
    event CompensationWithdrawn(address indexed account, address to, uint256 amount);

    error ZeroParty();
    error ZeroAmount();
    /// The money of one bond, all told, must fit 96 bits.
    error BondTooLarge(uint256 amount, uint256 max);
    error DelayTooLong(uint64 delay, uint64 max);
    /// At least one, none zero, ascending.
    error InvalidArbiters(address[] arbiters);
    error NotParty(bytes32 id, address caller);
    error NotArbiter(bytes32 id, address caller);
    error UnknownBond(bytes32 id);
    error InsufficientBond(bytes32 id, uint256 available, uint256 requested);
    error NotDue(bytes32 id, uint64 unbondsAt);
    error NothingToWithdraw();
    error TransferRejected(address to, uint256 amount);

    /// @notice Longest delay of a bond, in seconds: a mistake there cannot keep money for years.
    function MAX_DELAY() external view returns (uint64);
    /// @notice The id of the bond of `party` under exactly these arbiters (ascending, without repetition) and this delay.
    function bondId(address party, address[] calldata arbiters, uint64 delay) external pure returns (bytes32);
    /// @notice Bonds `msg.value` for `party` under `arbiters`: by sending it, the payer puts that money at their mercy, and no other. What
    /// is not taken is the party's. Reverts ZeroAmount, ZeroParty, InvalidArbiters, DelayTooLong, BondTooLarge.
    function bond(address party, address[] calldata arbiters, uint64 delay) external payable returns (bytes32 id);
    /// @notice Asks `amount` back. It stops counting as stake at once, and can be withdrawn after the delay of the bond; what is asked back
    /// while an earlier request waits joins it, and both wait anew. Only the party. Reverts UnknownBond, NotParty, ZeroAmount, InsufficientBond.
    function unbond(bytes32 id, uint128 amount) external;
    /// @notice Bonds again `amount` of what was asked back and has not left. Only the party. Reverts as `unbond`.
    function rebond(bytes32 id, uint128 amount) external;
    /// @notice Pays what was asked back out to `to`, once it is due and as far as no open fault keeps it. Only the party.
    /// Reverts UnknownBond, NotParty, NotDue, NothingToWithdraw, or TransferRejected if `to` does not take it.
    function withdraw(bytes32 id, address payable to) external returns (uint256 amount);

    /// @notice Keeps up to `amount` from leaving, for a fault that is open. Only an arbiter of the bond. Gives what could be locked: locks of
    /// all arbiters together never exceed what is there. Reverts NotArbiter.
    function lock(bytes32 id, uint128 amount) external returns (uint128 locked);
    /// @notice Gives back what the calling arbiter locked, up to `amount`: what was slashed meanwhile is no longer locked, and closing a fault
    /// must not fail because of it. Reverts NotArbiter.
    function unlock(bytes32 id, uint128 amount) external returns (uint128 unlocked);
    /// @notice Takes up to `amount` and credits it to `to`: first what is bonded, then what is unbonding; first what nobody locked, then what the
    /// caller itself did, never what another arbiter locked. A fault that has a lock of its own is closed by `unlock` and `slash`, in this order, in
    /// one transaction: so it leaves the arbiter's other locks alone. Only an arbiter of the bond. Gives what was taken. Reverts NotArbiter.
    function slash(bytes32 id, uint128 amount, address to) external returns (uint128 taken);
    /// @notice Pays what slashing credited to the caller out to `to`. Reverts NothingToWithdraw, or TransferRejected if `to` does not take it.
    function withdrawCompensation(address payable to) external returns (uint256 amount);

    /// @notice All of a bond; zeros if it is unknown.
    function bondOf(bytes32 id) external view returns (Bond memory);
    /// @notice What counts as stake now; 0 for an unknown bond.
    function bonded(bytes32 id) external view returns (uint256);
    /// @notice Whether `account` may lock and take the bond.
    function isArbiter(bytes32 id, address account) external view returns (bool);
    /// @notice What one arbiter keeps locked.
    function lockedBy(bytes32 id, address arbiter) external view returns (uint256);
    /// @notice Wei that `account` can withdraw of what was slashed for it.
    function compensation(address account) external view returns (uint256);
}
