// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

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
        uint64 unbondsAt;
        /// Kept by open faults, of all arbiters together; not to leave before they are closed.
        uint128 locked;
    }

    event Bonded(bytes32 indexed id, address indexed party, address indexed payer, uint256 amount);
    event BondOpened(bytes32 indexed id, address indexed party, address[] arbiters, uint64 delay);
    event UnbondingStarted(bytes32 indexed id, uint256 amount, uint64 unbondsAt);
    event BondWithdrawn(bytes32 indexed id, address indexed party, uint256 amount);
    event StakeLocked(bytes32 indexed id, address indexed arbiter, uint256 amount);
    event StakeUnlocked(bytes32 indexed id, address indexed arbiter, uint256 amount);
    event Slashed(bytes32 indexed id, address indexed arbiter, address indexed to, uint256 amount);
    event CompensationWithdrawn(address indexed account, uint256 amount);

    error NotParty(bytes32 id, address caller);
    error NotArbiter(bytes32 id, address caller);
    error UnknownBond(bytes32 id);

    /// @notice The id of the bond of `party` under exactly these arbiters (ascending, without repetition) and this delay.
    function bondId(address party, address[] calldata arbiters, uint64 delay) external pure returns (bytes32);
    /// @notice Bonds `msg.value` for `party` under `arbiters`: by sending it, the payer puts that money at their mercy, and no other.
    function bond(address party, address[] calldata arbiters, uint64 delay) external payable returns (bytes32 id);
    /// @notice Asks `amount` back. It stops counting as stake at once, and can be withdrawn after the delay of the bond; what is asked back
    /// while an earlier request waits joins it, and both wait anew. Only the party.
    function unbond(bytes32 id, uint128 amount) external;
    /// @notice Pays the party what it asked back, once it is due and as far as no open fault keeps it. Anyone may call.
    function withdraw(bytes32 id) external returns (uint256 amount);
    /// @notice Keeps up to `amount` from leaving, for a fault that is open. Only an arbiter of the bond. Gives what could be locked.
    function lock(bytes32 id, uint128 amount) external returns (uint128 locked);
    /// @notice Gives back what the calling arbiter locked.
    function unlock(bytes32 id, uint128 amount) external;
    /// @notice Takes up to `amount`, first of what is bonded and then of what is unbonding, never what other arbiters locked, and credits it to `to`.
    /// Only an arbiter of the bond. Gives what was taken.
    function slash(bytes32 id, uint128 amount, address to) external returns (uint128 taken);
    /// @notice Sends `account` what slashing credited to it. Anyone may call.
    function withdrawCompensation(address payable account) external returns (uint256 amount);

    function bondOf(bytes32 id) external view returns (Bond memory);
    /// @notice What counts as stake now; 0 for an unknown bond.
    function bonded(bytes32 id) external view returns (uint256);
    function isArbiter(bytes32 id, address account) external view returns (bool);
    function compensation(address account) external view returns (uint256);
}
